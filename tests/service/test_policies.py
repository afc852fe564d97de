"""Policies over HTTP: versions, whom they bind, and that no request of either dialect gets around them."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from service.acceptance import accept
from service.settings import Settings
from service.store.models import Job
from tests.service.calls import code, generate, settled, wait_until
from tests.service.conftest import serving, user_of
from tests.service.hand import Hand, add_eraser, gateway_of, receipt_of
from tests.service.test_idempotency import restarted

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


def put(client: TestClient, name: str = "house", **rules: Any) -> dict[str, Any]:
    response = client.put(f"/policies/{name}", json=rules)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def plan(client: TestClient, **body: Any) -> dict[str, Any]:
    response = client.post("/generate?dry_run=true", json={"prompt": "a", **body})
    assert response.status_code == 200, response.text
    planned: dict[str, Any] = response.json()
    return planned


def refused(client: TestClient, **body: Any) -> tuple[str, str | None, str]:
    error = client.post("/generate", json={"prompt": "a", **body}).json()["error"]
    return error["code"], error["param"], error["message"]


def stack(body: dict[str, Any]) -> list[tuple[str, int, float]]:
    return [(item["concept"], item["version"], item["strength"]) for item in body["erase"]]


def own_key(user: TestClient) -> str:
    return str(user.headers["authorization"]).split("_")[1]


@pytest.mark.both_databases
def test_the_readmes_policy(client: TestClient) -> None:
    (block,) = re.findall(r"<!-- runs in tests/service/test_policies.py -->\n```json\n(.*?)```", README, re.DOTALL)
    made = put(client, **json.loads(block))
    assert made["rules"]["mandatory"][1] == {"concept": "parachute", "version": 1, "strength": 2.0}
    assert put(client, **made["rules"])["rules"] == made["rules"]  # what is read can be put


@pytest.mark.both_databases
def test_every_put_makes_a_version_that_never_changes(client: TestClient) -> None:
    first = put(client, mandatory=["Church "])
    assert (first["name"], first["version"], first["ended_at"]) == ("house", 1, None)
    assert first["created_by"] == client.get("/keys").json()["data"][0]["id"]
    second = put(client, defaults=["church"])
    put(client, "another")
    assert second["version"] == 2
    assert client.get("/policies/house").json() == second == client.get("/policies/house?version=2").json()
    ended = client.get("/policies/house?version=1").json()
    assert ended.pop("ended_at") is not None
    assert ended == {name: value for name, value in first.items() if name != "ended_at"}
    assert [(item["name"], item["version"]) for item in client.get("/policies").json()["data"]] == [("another", 1), ("house", 2)]
    assert client.delete("/policies/house").status_code == 204
    assert code(client.get("/policies/house")) == code(client.delete("/policies/house")) == "not_found"
    assert client.get("/policies/house?version=2").json()["ended_at"] is not None
    assert put(client)["version"] == 3  # a number says the same for ever
    assert plan(client)["policies"] == [{"name": "another", "version": 1}, {"name": "house", "version": 3}]


@pytest.mark.both_databases
def test_on_the_plan_on_the_generation_and_with_the_worker(client: TestClient, hand: Hand) -> None:
    put(client, mandatory=["church"])
    applied = [{"name": "house", "version": 1}]
    assert (plan(client)["policies"], stack(plan(client))) == (applied, [("church", 1, 1.5)])
    accepted = generate(client, erase=["parachute"])
    assert accepted["policies"] == applied
    assert stack(accepted) == [("church", 1, 1.5), ("parachute", 1, 1.5)]
    put(client)  # changes nothing that was accepted
    assert client.get(accepted["links"]["self"]).json()["policies"] == applied
    task = hand.take_generation()
    assert [pin.concept for pin in task.erase] == ["church", "parachute"]
    hand.finish(task, erasers=())  # a worker that leaves out what the policy demands shows nothing
    assert wait_until(lambda: settled(client, accepted["id"]))["status"] == "failed"


@pytest.mark.parametrize(
    ("mandatory", "asked", "acts"),
    [
        ("church", None, ("church", 1, 1.5)),
        ("church", [], ("church", 1, 1.5)),
        ("church", ["church@1"], ("church", 1, 1.5)),
        ("church", [{"concept": "CHURCH", "strength": 0.1}], ("church", 1, 1.5)),
        ("church", [{"concept": "church", "strength": 3}], ("church", 1, 3.0)),
        ({"concept": "church", "strength": 2}, [{"concept": "church", "strength": 1.9}], ("church", 1, 2.0)),
        ({"concept": "church", "strength": 2}, ["church"], ("church", 1, 2.0)),
        ({"concept": "church", "strength": 1}, ["church"], ("church", 1, 1.5)),
        ({"concept": "church", "strength": 1}, None, ("church", 1, 1.0)),
        ("church@1", ["church@7"], ("church", 1, 1.5)),
    ],
)
def test_no_request_weakens_it(shared: TestClient, mandatory: Any, asked: Any, acts: tuple[str, int, float]) -> None:
    put(shared, "weakened", mandatory=[mandatory])
    assert stack(plan(shared, **({} if asked is None else {"erase": asked}))) == [acts]
    assert shared.delete("/policies/weakened").status_code == 204


def test_a_request_for_an_older_version_is_refused_or_overruled(client: TestClient) -> None:
    add_eraser(client, "church", active=False)
    assert client.post("/erasers/church/2/activate").is_success
    put(client, mandatory=["church"])
    assert refused(client, erase=["church@1"])[:2] == ("eraser_not_active", "erase[0]")
    put(client, mandatory=["church@2"])
    assert stack(plan(client, erase=["church@1"])) == [("church", 2, 1.5)]


def test_defaults_act_where_nothing_is_said(client: TestClient) -> None:
    put(client, mandatory=["church"], defaults=["parachute"])
    both = [("church", 1, 1.5), ("parachute", 1, 1.5)]
    assert stack(plan(client)) == both
    assert stack(plan(client, erase=None)) == both
    assert stack(plan(client, erase=[])) == both[:1]
    assert stack(plan(client, erase=["church"])) == both[:1]
    nothing = {"erase": [{"concept": "parachute", "strength": 0}]}
    assert refused(client, **nothing)[:2] == ("invalid_strength", "erase[0].strength")
    assert stack(plan(client, **nothing, allow_not_reduced=True)) == [both[0], ("parachute", 1, 0.0)]


def test_the_openai_dialect_is_bound_alike(client: TestClient) -> None:
    put(client, mandatory=["church"], defaults=["parachute"], limits={"width": 48, "num_frames": 9})
    for fields, acts in (
        ({}, ["church", "parachute"]),
        ({"erase": "[]"}, ["church"]),
        ({"erase": '[{"concept": "church", "strength": 0.5}]'}, ["church"]),
    ):
        files = [(name, (None, value)) for name, value in {"prompt": "a", **fields}.items()]
        made = client.post("/v1/videos", files=files).json()
        assert [item["concept"] for item in made["erase"]] == acts
        assert (made["erase"][0]["strength"], made["policies"]) == (1.5, [{"name": "house", "version": 1}])
        assert (made["size"], made["num_frames"]) == ("48x64", 9)
    for asked, param in (({"size": "64x64"}, "size"), ({"seconds": "2"}, "seconds")):
        error = client.post("/v1/videos", json={"prompt": "a", **asked}).json()["error"]
        assert (error["code"], error["param"]) == ("policy_forbids", param)


@pytest.mark.both_databases
def test_whom_it_binds(client: TestClient, user: TestClient) -> None:
    put(client, keys=[own_key(user)], mandatory=["church"])
    assert stack(plan(user)) == [("church", 1, 1.5)]
    assert plan(client)["policies"] == plan(user_of(client))["policies"] == []
    put(client, mandatory=["church"])
    assert {plan(caller)["policies"][0]["version"] for caller in (client, user, user_of(client))} == {2}
    assert code(user.get("/policies/house")) == "forbidden"


@pytest.mark.both_databases
def test_several_hold_at_once(client: TestClient, user: TestClient) -> None:
    put(
        client, "b", mandatory=[{"concept": "church", "strength": 3}], models=["toy", "y"], limits={"width": 64, "num_frames": 17}
    )
    put(client, "a", keys=[own_key(user)], mandatory=["church@1", "parachute"], models=["x", "toy"], limits={"width": 32})
    planned = plan(user, erase=[])
    assert [policy["name"] for policy in planned["policies"]] == ["a", "b"]
    assert stack(planned) == [("church", 1, 3.0), ("parachute", 1, 1.5)]
    assert (planned["width"], plan(client)["width"]) == (32, 64)
    found = refused(user, width=48)
    assert found[:2] == ("policy_forbids", "width")
    assert "'a'" in found[2]
    assert "'b'" not in found[2]


def test_two_that_contradict_each_other_let_nothing_pass(client: TestClient) -> None:
    add_eraser(client, "church", fingerprint="e" * 64)
    put(client, "a", mandatory=["church@1"])
    put(client, "b", mandatory=["church@2"])
    found = refused(client, erase=["church@1"])
    assert found[:2] == ("policy_unsatisfied", None)
    assert "'a' (version 1) and the policy 'b' (version 1)" in found[2]


@pytest.mark.parametrize("kind", ["mandatory", "defaults"])
def test_what_cannot_act_refuses_the_request(client: TestClient, kind: str) -> None:
    add_eraser(client, "candidate", active=False)
    add_eraser(client, "foreign", fingerprint="e" * 64)
    before = len(client.get("/generations").json()["data"])
    for eraser in ("never trained", "candidate", "foreign", "church@2"):
        put(client, **{kind: [eraser]})
        assert refused(client)[:2] == ("policy_unsatisfied", None)
        assert "'house'" in refused(client)[2]
        assert client.post("/generate?dry_run=true", json={"prompt": "a"}).status_code == 409
    if kind == "mandatory":
        assert refused(client, erase=["church@2"])[:2] == ("policy_unsatisfied", None)
    assert refused(client, erase=["nothing"])[0] == ("policy_unsatisfied" if kind == "mandatory" else "unknown_concept")
    assert len(client.get("/generations").json()["data"]) == before
    put(client, **{kind: ["church"]})
    generate(client)


def test_models_and_limits(client: TestClient) -> None:
    limits = {"width": 50, "height": 32, "num_frames": 12, "num_inference_steps": 7}
    put(client, limits=limits)
    planned = plan(client)
    assert (planned["width"], planned["height"]) == (48, 32)
    assert (plan(client, num_frames=9)["num_frames"], planned["num_inference_steps"]) == (9, 6)  # not 7: the card refuses it
    for field, beyond in (("width", 64), ("height", 48), ("num_frames", 13), ("num_inference_steps", 8)):
        assert refused(client, **{field: beyond})[:2] == ("policy_forbids", field)
    put(client, limits={"num_frames": 7})
    assert plan(client)["num_frames"] == 5
    put(client, limits={"width": 31})  # less than the model can make
    assert refused(client)[:2] == ("policy_forbids", "width")
    put(client, models=["other"])
    for body in ({}, {"model": "toy"}):
        found = refused(client, **body)
        assert found[:2] == ("policy_forbids", "model")
        assert "allowed: 'other'" in found[2]


@pytest.mark.both_databases
def test_the_registry_keeps_what_policies_need(client: TestClient) -> None:
    add_eraser(client, "church", active=False)
    for kind in ("mandatory", "defaults"):
        put(client, **{kind: ["church"]})
        assert code(client.post("/erasers/church/1/retire")) == "policy_needs_eraser"
    put(client, mandatory=["church@1"])
    assert code(client.post("/erasers/church/1/retire")) == "policy_needs_eraser"
    for body in ({"override": False}, {"override": True, "reason": "a test"}):
        response = client.post("/erasers/church/2/activate", json=body)
        assert (code(response), "'house' (version 3)" in response.text) == ("policy_needs_eraser", True)
    assert client.get("/erasers/church/1").json()["status"] == "active"
    put(client, mandatory=["church"])  # the way that the README tells: at no moment is a request refused
    assert client.post("/erasers/church/2/activate").is_success
    put(client, mandatory=["church@2"])
    assert stack(plan(client)) == [("church", 2, 1.5)]
    assert client.post("/erasers/parachute/1/retire").is_success
    assert client.delete("/policies/house").status_code == 204
    assert client.post("/erasers/church/2/retire").is_success


def test_a_default_that_is_pinned_elsewhere_does_not_keep_this_version(client: TestClient) -> None:
    put(client, defaults=["church@2"])
    assert client.post("/erasers/church/1/retire").is_success


@pytest.mark.both_databases
@pytest.mark.parametrize("change", ["policy", "eraser"])
def test_nothing_changes_between_check_and_commit(client: TestClient, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """A policy that is put, or an eraser that is retired, while a request is accepted waits, and holds for the next."""
    changes = {"policy": lambda: put(client, mandatory=["church"]), "eraser": lambda: client.post("/erasers/church/1/retire")}
    putting = threading.Thread(target=changes[change])
    planned = accept.plan

    def meanwhile(*args: Any) -> Any:
        done = planned(*args)
        if not putting.ident:
            putting.start()
            putting.join(0.3)
            assert putting.is_alive()
        return done

    monkeypatch.setattr(accept, "plan", meanwhile)
    first = generate(client, erase=["church"])
    putting.join()
    assert (first["policies"], stack(first)) == ([], [("church", 1, 1.5)])
    logged = [entry["action"] for entry in client.get("/audit").json()["data"][1:]]
    assert logged == ["generation.accepted", {"policy": "policy.put", "eraser": "eraser.retired"}[change]]
    if change == "policy":
        assert plan(client)["policies"] == [{"name": "house", "version": 1}]
    else:
        assert refused(client, erase=["church"])[0] == "eraser_not_active"


@pytest.mark.both_databases
def test_it_survives_a_restart_and_rows_from_before_are_read(settings: Settings) -> None:
    with serving(settings) as client:
        put(client, mandatory=["church"])
        old = generate(client)
        with gateway_of(client).database.write() as session:
            job = session.scalars(select(Job)).one()
            job.plan = {name: value for name, value in job.plan.items() if name != "policies"}
        assert client.get(old["links"]["self"]).json()["policies"] == []
    with restarted(settings) as again:
        assert stack(plan(again)) == [("church", 1, 1.5)]


def put_refused(client: TestClient, **rules: Any) -> tuple[str, str | None, str]:
    response = client.put("/policies/house", json=rules)
    assert response.status_code == 422, response.text
    error = response.json()["error"]
    return error["code"], error["param"], error["message"]


@pytest.mark.parametrize("field", ["mandatory", "defaults"])
def test_a_policy_that_erases_nothing_or_too_little_is_refused(client: TestClient, field: str) -> None:
    add_eraser(client, "tench", minimum_strength=1.25)
    for strength in (0, 0.0, -0.0):
        assert put_refused(client, **{field: [{"concept": "tench", "strength": strength}]})[:2] == (
            "invalid_strength",
            f"{field}[0].strength",
        )
    for item in ({"concept": "tench", "strength": 1.2}, {"concept": "tench", "version": 1, "strength": 1.2}):
        code_, param, message = put_refused(client, **{field: ["church", item]})
        assert (code_, param) == ("invalid_strength", f"{field}[1].strength")
        assert "below 1.25" in message
        assert "strength_override_reason" in message
    assert client.put("/aliases/fish", json={"concept": "tench"}).is_success
    assert put_refused(client, **{field: [{"concept": "fish", "strength": 1.2}]})[0] == "invalid_strength"
    assert client.get("/policies").json()["data"] == []
    put(client, **{field: [{"concept": "tench", "strength": 1.25}, {"concept": "church", "strength": 0.1}]})
    assert stack(plan(client)) == [("church", 1, 0.1), ("tench", 1, 1.25)], "of the church no minimum is known"


def test_a_reason_overrides_the_minimum_and_is_in_the_audit_log(client: TestClient) -> None:
    add_eraser(client, "tench", minimum_strength=1.25)
    weak = [{"concept": "tench", "strength": 0.5}]
    made = put(client, mandatory=weak, strength_override_reason="a pilot with two customers")
    assert made["rules"]["strength_override_reason"] == "a pilot with two customers"
    assert stack(plan(client)) == [("tench", 1, 0.5)]
    (entry,) = [item for item in client.get("/audit").json()["data"] if item["action"] == "policy.put"]
    assert entry["details"]["rules"]["strength_override_reason"] == "a pilot with two customers"
    assert entry["details"]["below_minimum"] == [
        {"param": "mandatory[0]", "concept": "tench", "strength": 0.5, "version": 1, "minimum": 1.25}
    ]
    for reason in ("", " \n"):
        refused = put_refused(client, mandatory=weak, strength_override_reason=reason)
        assert refused[:2] == ("invalid_request", "strength_override_reason")
    put(client, "another", mandatory=[{"concept": "church", "strength": 1}])
    put(client, "third", defaults=[{"concept": "tench", "strength": 1.3}])
    assert stack(plan(client)) == [("church", 1, 1.0), ("tench", 1, 1.3)]


def test_a_version_with_a_higher_minimum_raises_an_older_policys_strength(client: TestClient) -> None:
    put(client, mandatory=[{"concept": "church", "strength": 1}])
    assert stack(plan(client)) == [("church", 1, 1.0)]
    add_eraser(client, "church", active=False, minimum_strength=1.25)
    assert client.post("/erasers/church/2/activate").is_success
    assert stack(plan(client)) == [("church", 2, 1.25)]
    assert stack(plan(client, erase=[{"concept": "church", "strength": 0.1}])) == [("church", 2, 1.25)]
    put(client, strength_override_reason="measured on our own clips", mandatory=[{"concept": "church", "strength": 1}])
    assert stack(plan(client)) == [("church", 2, 1.0)]


def test_a_request_asks_for_at_most_twice_the_own_strength_unless_a_policy_allows_more(client: TestClient) -> None:
    put(client, mandatory=["parachute"])
    attack = ["church", {"concept": "parachute", "strength": 100}]
    code_, param, message = refused(client, erase=attack)
    assert (code_, param) == ("invalid_strength", "erase[1].strength")
    assert "at most 3" in message
    assert "max_strength_multiple" in message
    for erase in ([{"concept": "church", "strength": 3.01}], [{"concept": "church", "version": 1, "strength": 100}]):
        assert refused(client, erase=erase)[:2] == ("invalid_strength", "erase[0].strength")
    assert stack(plan(client, erase=[{"concept": "church", "strength": 3}])) == [("church", 1, 3.0), ("parachute", 1, 1.5)]
    put(client, "laboratory", max_strength_multiple=4)
    assert stack(plan(client, erase=[{"concept": "church", "strength": 6}]))[0] == ("church", 1, 6.0)
    put(client, "strict", max_strength_multiple=1)
    assert refused(client, erase=[{"concept": "church", "strength": 1.6}])[0] == "invalid_strength", "the smallest of several"
    assert put_refused(client, max_strength_multiple=4.5)[:2] == ("invalid_request", "max_strength_multiple")


def test_not_reduced_may_be_allowed_except_for_what_is_mandatory(client: TestClient, hand: Hand) -> None:
    put(client, mandatory=["church"], defaults=["parachute"])
    erase = {"erase": ["church", "parachute"]}

    def must_reduce(**body: Any) -> dict[str, bool]:
        return {item["concept"]: item["must_reduce"] for item in plan(client, **body)["erase"]}

    assert must_reduce(**erase) == {"church": True, "parachute": True}
    for body in (erase, {}):
        assert must_reduce(**body, allow_not_reduced=True) == {"church": True, "parachute": False}
    nothing = {"erase": [{"concept": "church", "strength": 0}]}
    assert refused(client, **nothing)[:2] == ("invalid_strength", "erase[0].strength")
    assert stack(plan(client, **nothing, allow_not_reduced=True)) == [("church", 1, 1.5)], "the policy's strength acts"
    accepted = generate(client, **erase, allow_not_reduced=True)
    assert [item["must_reduce"] for item in accepted["erase"]] == [True, False]
    assert [pin.must_reduce for pin in hand.take_generation().erase] == [True, False]


@pytest.mark.parametrize(("concept", "status"), [("church", "failed"), ("parachute", "succeeded")])
def test_a_receipt_that_breaks_the_promise_shows_no_video(client: TestClient, hand: Hand, concept: str, status: str) -> None:
    """Even if a worker should not have failed the job itself."""
    put(client, mandatory=["church"])
    accepted = generate(client, erase=["parachute"], allow_not_reduced=True)
    task = hand.take_generation()
    uses = [
        use.model_copy(update={"verdict": "not_reduced"}) if use.concept == concept else use for use in receipt_of(task).erasers
    ]
    hand.finish(task, erasers=tuple(uses))
    assert wait_until(lambda: settled(client, accepted["id"]))["status"] == status
