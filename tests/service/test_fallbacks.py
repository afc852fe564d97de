"""What stands in for an eraser that is not active: where it is allowed, visibly, and never against a policy."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from erasers import methods
from erasers.options import from_mapping
from service.acceptance.fallback import SETTINGS
from tests.service.calls import generate, settled, wait_until
from tests.service.hand import REDUCED, Hand, add_eraser
from tests.service.test_audit import the
from tests.service.test_idempotency import send
from tests.service.test_metrics import series
from tests.service.test_policies import plan, put, refused, stack
from workers.contract import FallbackPin, FallbackUse

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()
ZEBRA = {
    "concept": "zebra", "method": "safree", "settings": {"alpha": 0.01, "reference": False}, "strength": 1.0, "must_reduce": True,
}  # fmt: skip
USED = {name: value for name, value in ZEBRA.items() if name != "must_reduce"} | {"tokens_edited": 2} | REDUCED
"""As the receipt of `Hand` says it."""


def standing_in(body: dict[str, Any]) -> list[str]:
    return [item["concept"] for item in body["fallbacks"]]


def test_the_readmes_request_and_its_answer(client: TestClient) -> None:
    (request,) = re.findall(r"<!-- runs in tests/service/test_fallbacks.py -->\n```json\n(.*?)```", README, re.DOTALL)
    (answer,) = re.findall(r'```json\n(\{"fallbacks".*?)```', README, re.DOTALL)
    planned = plan(client, **json.loads(request))
    assert planned["fallbacks"] == json.loads(answer)["fallbacks"] == [ZEBRA]
    assert stack(planned) == [("church", 1, 1.5)], "an eraser that is active acts"


def test_on_the_plan_the_task_the_generation_and_the_receipt(client: TestClient, hand: Hand) -> None:
    accepted = generate(client, prompt="a zebra", erase=["Zebra ", "church"], on_missing="safree")
    assert accepted["fallbacks"] == [ZEBRA]
    entry = the(client, "generation.accepted")["details"]
    assert ([item["concept"] for item in entry["erase"]], entry["fallbacks"]) == (["church"], [ZEBRA])
    task = hand.take_generation()
    assert task.fallbacks == (FallbackPin.model_validate(ZEBRA),)
    hand.finish(task)
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert done["status"] == "succeeded"
    assert USED in done["receipt"]["fallbacks"]
    assert client.get(accepted["links"]["receipt"]).json()["fallbacks"] == done["receipt"]["fallbacks"]
    assert client.get(f"/v1/videos/{accepted['id']}").json()["fallbacks"] == [ZEBRA]
    assert series(client)['clearway_fallback_uses_total{method="safree"}'] == 1


@pytest.mark.parametrize(
    "change",
    [None, {"concept": "horse"}, {"method": "negprompt"}, {"settings": {"alpha": 5.0, "reference": False}}, {"strength": 0.0}],
)
def test_a_receipt_with_another_fallback_shows_no_video(client: TestClient, hand: Hand, change: dict[str, Any] | None) -> None:
    accepted = generate(client, erase=["zebra"], on_missing="safree")
    use = FallbackUse.model_validate(USED)
    hand.finish(hand.take_generation(), fallbacks=() if change is None else (use.model_copy(update=change),))
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert (done["status"], done["error"]["code"]) == ("failed", "receipt_mismatch")
    assert "fallbacks" in done["error"]["message"]
    assert client.get(accepted["links"]["video"]).status_code == 409


def test_without_it_a_missing_eraser_refuses(client: TestClient) -> None:
    for body in ({}, {"on_missing": "refuse"}):
        code, param, message = refused(client, erase=["church", "zebra"], **body)
        assert (code, param) == ("unknown_concept", "erase[1]")
        assert '"on_missing"' in message, "the cure is told"
    assert refused(client, erase=["zebra"], on_missing="clear")[:2] == ("invalid_request", "on_missing")
    assert refused(client, erase=["zebra"], on_missing=None)[:2] == ("invalid_request", "on_missing")


def test_whatever_keeps_an_eraser_from_acting(client: TestClient) -> None:
    add_eraser(client, "candidate", active=False)
    add_eraser(client, "foreign", fingerprint="e" * 64)
    assert client.post("/erasers/church/1/retire").is_success
    client.post("/erasers", json={"concept": "in training"})
    names = ["candidate", "church", "foreign", "in training", "never trained"]
    assert standing_in(plan(client, erase=names, on_missing="safree")) == names
    assert plan(client, erase=["parachute"], on_missing="safree")["fallbacks"] == [], "this one has an active eraser"


def test_nothing_stands_in_for_a_version(client: TestClient) -> None:
    add_eraser(client, "candidate", active=False)
    for item, code in (("zebra@1", "unknown_concept"), ("candidate@1", "eraser_not_active"), ("church@2", "unknown_version")):
        assert refused(client, erase=[item], on_missing="safree")[:2] == (code, "erase[0]")


def test_names_and_their_number_are_checked_as_ever(shared: TestClient) -> None:
    names = [f"thing {number}" for number in range(17)]
    assert refused(shared, erase=names, on_missing="safree")[0] == "too_many_concepts"
    assert refused(shared, erase=["../zebra"], on_missing="safree")[:2] == ("invalid_concept", "erase[0].concept")
    assert refused(shared, erase=["zebra", "ZEBRA"], on_missing="safree")[0] == "duplicate_concept"
    assert len(plan(shared, erase=names[:16], on_missing="safree")["fallbacks"]) == 16


def test_strength_and_guidance_at_which_it_would_do_something_else(shared: TestClient) -> None:
    weak = plan(shared, erase=[{"concept": "zebra", "strength": 0.5}], on_missing="safree")
    assert weak["fallbacks"][0]["strength"] == 0.5
    nothing = {"erase": [{"concept": "zebra", "strength": 0}], "on_missing": "safree"}
    assert refused(shared, **nothing)[:2] == ("invalid_strength", "erase[0].strength")
    allowed = plan(shared, **nothing, allow_not_reduced=True)["fallbacks"][0]
    assert (allowed["strength"], allowed["must_reduce"]) == (0.0, False)
    strong = {"erase": ["church", {"concept": "zebra", "strength": 1.5}], "on_missing": "safree"}
    assert refused(shared, **strong)[:2] == ("invalid_strength", "erase[1].strength")
    negprompt = {"erase": ["zebra"], "on_missing": "negprompt"}
    assert plan(shared, **negprompt)["fallbacks"] == [{**ZEBRA, "method": "negprompt", "settings": {}}]
    assert refused(shared, **negprompt, guidance_scale=1)[:2] == ("invalid_guidance", "guidance_scale")


@pytest.mark.parametrize("kind", ["mandatory", "defaults"])
def test_no_request_lets_a_policys_concept_fall_back(client: TestClient, kind: str) -> None:
    put(client, **{kind: ["zebra"]})
    assert refused(client, on_missing="safree")[:2] == ("policy_unsatisfied", None)
    if kind == "mandatory":
        for erase in ([], ["zebra"], ["church"]):
            assert refused(client, erase=erase, on_missing="safree")[0] == "policy_unsatisfied"
    put(client, "another", on_missing="safree", **{kind: ["zebra"]})
    assert refused(client, on_missing="safree")[:2] == ("policy_unsatisfied", None), "the stricter of two holds"


def test_a_policy_may_say_so_itself(client: TestClient) -> None:
    put(client, mandatory=["zebra", "church"], on_missing="safree")
    assert (standing_in(plan(client)), stack(plan(client))) == (["zebra"], [("church", 1, 1.5)])
    assert standing_in(plan(client, erase=["zebra", "horse"], on_missing="safree")) == ["horse", "zebra"]
    assert refused(client, erase=["zebra"])[:2] == ("unknown_concept", "erase[0]"), "who asks for it must agree"
    assert refused(client, erase=["zebra"], on_missing="negprompt")[0] == "unknown_concept"
    assert refused(client, erase=["horse"])[0] == "unknown_concept", "what a policy does not name is the request's affair"
    weaker = plan(client, erase=[{"concept": "zebra", "strength": 0.1}], on_missing="safree", allow_not_reduced=True)
    assert weaker["fallbacks"] == [ZEBRA]
    put(client, "another", mandatory=["zebra"], on_missing="negprompt")
    assert refused(client)[0] == "policy_unsatisfied", "two that name different methods agree on none"
    put(client, "another", mandatory=["zebra@1"], on_missing="safree")
    assert refused(client)[0] == "policy_unsatisfied"


def test_an_eraser_that_becomes_active_takes_the_place_from_then_on(client: TestClient) -> None:
    accepted = generate(client, erase=["zebra"], on_missing="safree")
    add_eraser(client, "zebra")
    planned = plan(client, erase=["zebra"], on_missing="safree")
    assert (planned["fallbacks"], stack(planned)) == ([], [("zebra", 1, 1.5)])
    assert client.get(accepted["links"]["self"]).json()["fallbacks"] == [ZEBRA], "what was accepted is what runs"


def test_it_is_part_of_what_is_sent_again(client: TestClient) -> None:
    first = send(client, "k", erase=["church"])
    assert send(client, "k", erase=["church"], on_missing="refuse").json() == first.json()
    assert send(client, "k", erase=["church"], on_missing="safree").json()["error"]["code"] == "idempotency_key_reused"


def test_in_the_openai_dialect(client: TestClient) -> None:
    body = {"prompt": "a zebra", "erase": ["zebra"], "on_missing": "safree"}
    assert client.post("/v1/videos", json=body).json()["fallbacks"] == [ZEBRA]
    form = [(name, (None, value)) for name, value in (("prompt", "a zebra"), ("erase[]", "zebra"), ("on_missing", "safree"))]
    assert client.post("/v1/videos", files=form).json()["fallbacks"] == [ZEBRA]
    assert client.post("/v1/videos", json={**body, "on_missing": "refuse"}).json()["error"]["param"] == "erase[0]"


def test_the_settings_are_the_methods_own() -> None:
    for method, settings in SETTINGS.items():
        kind = methods.get(method).config_type
        assert from_mapping(kind, settings) == kind(), "what is pinned is what the method does by default"
        assert FallbackPin(concept="zebra", method=method, settings=dict(settings), strength=1.0).settings == settings
