"""`verify`: what is promised when a request is accepted, who may demand it, and that nothing comes out against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.service.calls import code, generate, settled, wait_until
from tests.service.conftest import serving
from tests.service.hand import Hand, gateway_of
from tests.service.test_audit import the
from tests.service.test_idempotency import send
from tests.service.test_policies import plan, put, refused
from workers.contract import Check, CheckPin, Detectors, detectors_key

CHURCH = {"concept": "church", "detector": "imagenet", "max_share": 0.0}
ZEBRA = {"concept": "zebra", "detector": "nsfw", "max_share": 0.0}


def tell(client: TestClient, **detectors: str) -> None:
    told = Detectors(model="toy", detectors=detectors)
    gateway_of(client).store.put(detectors_key("toy"), told.model_dump_json().encode())


README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """`parachute` has an eraser, and nobody can look for it."""
    with serving(settings) as opened:
        tell(opened, church="imagenet", zebra="nsfw")
        yield opened


def test_the_plan_says_who_will_look(client: TestClient) -> None:
    (request,) = re.findall(r"<!-- runs in tests/service/test_verification.py -->\n```json\n(.*?)```", README, re.DOTALL)
    assert plan(client, **json.loads(request))["checks"] == [CHURCH]
    assert plan(client, erase=["church"])["checks"] == []
    assert plan(client, erase=["church"], verify=True)["checks"] == [CHURCH]
    both = plan(client, erase=["zebra", "church"], on_missing="safree", verify=True)
    assert both["checks"] == [CHURCH, ZEBRA], "what stands in for an eraser is verified as well"
    assert plan(client, verify=True)["checks"] == [], "nothing is erased, and nothing is claimed"


def test_a_concept_that_nobody_can_look_for_is_refused_at_once(client: TestClient) -> None:
    error, param, message = refused(client, erase=["church", "parachute"], verify=True)
    assert (error, param) == ("not_verifiable", "verify")
    assert "'parachute'" in message
    assert "'church'" not in message
    assert generate(client, erase=["parachute"])["checks"] == [], "only who asks for it"
    response = client.post("/v1/videos", json={"prompt": "a", "erase": ["parachute"], "verify": True})
    assert (response.status_code, code(response)) == (422, "not_verifiable")


def test_without_a_word_from_a_worker_nothing_can_be_verified(settings: Settings) -> None:
    with serving(settings) as client:
        assert refused(client, erase=["church"], verify=True)[0] == "not_verifiable"


def test_on_the_task_the_generation_and_the_receipt(client: TestClient, hand: Hand) -> None:
    accepted = generate(client, erase=["church"], verify=True)
    assert accepted["checks"] == [CHURCH] == the(client, "generation.accepted")["details"]["checks"]
    task = hand.take_generation()
    assert task.checks == (CheckPin.model_validate(CHURCH),)
    hand.finish(task)
    done = wait_until(lambda: settled(client, accepted["id"]))
    seen = [{**CHURCH, "share": 0.0, "verdict": "not_seen"}]
    assert done["receipt"]["checks"] == seen == client.get(accepted["links"]["receipt"]).json()["checks"]
    video = client.get(f"/v1/videos/{accepted['id']}").json()
    assert (video["checks"], video["receipt"]["checks"]) == ([CHURCH], seen)


def test_seen_is_failed_at_the_first_attempt(client: TestClient, hand: Hand) -> None:
    accepted = generate(client, erase=["church"], verify=True)
    hand.fail("generate", hand.take_generation(), "concept_seen")
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert (done["status"], done["attempt"], done["error"]["code"]) == ("failed", 1, "concept_seen")
    assert client.get(accepted["links"]["video"]).status_code == 409


@pytest.mark.parametrize(
    "checks",
    [
        [],
        [{"concept": "parachute"}],
        [{"detector": "miniature"}],
        [{"max_share": 0.5}],
        [{"verdict": "seen"}],
        [{"share": 0.2}],
        [{}, {}],
    ],
)
def test_a_receipt_that_does_not_hold_what_was_promised_shows_no_video(
    client: TestClient, hand: Hand, checks: list[dict[str, Any]]
) -> None:
    accepted = generate(client, erase=["church"], verify=True)
    good = {**CHURCH, "share": 0.0, "verdict": "not_seen"}
    hand.finish(hand.take_generation(), checks=tuple(Check.model_validate(good | change) for change in checks))
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert (done["status"], done["error"]["code"]) == ("failed", "receipt_mismatch")
    assert "withheld" in done["error"]["message"]
    assert client.get(accepted["links"]["video"]).status_code == 409


def test_no_request_takes_it_from_a_policy(client: TestClient) -> None:
    put(client, verify=True)
    put(client, "another")
    for body in ({}, {"verify": False}, {"verify": True}):
        assert plan(client, erase=["church"], **body)["checks"] == [CHURCH]
        error, _, message = refused(client, erase=["parachute"], **body)
        assert error == "policy_unsatisfied"
        assert "'house'" in message
        assert "'another'" not in message
    put(client, verify=False)
    assert plan(client, erase=["church"])["checks"] == []


def test_the_threshold_is_what_the_deployment_says_when_it_is_accepted(settings: Settings) -> None:
    with serving(settings.model_copy(update={"verify_max_share": 0.1})) as client:
        tell(client, church="imagenet")
        assert plan(client, erase=["church"], verify=True)["checks"] == [{**CHURCH, "max_share": 0.1}]


def test_it_is_true_or_false_in_json_and_in_a_form(client: TestClient) -> None:
    for wrong in ("true", 1, None):
        assert refused(client, erase=["church"], verify=wrong)[:2] == ("invalid_request", "verify")
    form = [(name, (None, value)) for name, value in (("prompt", "a"), ("erase[]", "church"), ("verify", "true"))]
    assert client.post("/v1/videos", files=form).json()["checks"] == [CHURCH]
    form[-1] = ("verify", (None, "yes"))
    assert client.post("/v1/videos", files=form).json()["error"]["param"] == "verify"


def test_it_is_part_of_what_is_sent_again(client: TestClient) -> None:
    first = send(client, "k", erase=["church"])
    assert send(client, "k", erase=["church"], verify=False).json() == first.json()
    assert send(client, "k", erase=["church"], verify=True).json()["error"]["code"] == "idempotency_key_reused"
