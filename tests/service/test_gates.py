"""Thresholds of single concepts: what judges, where it comes from, and that nothing comes between verdict and activation."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.domain.gate import Thresholds
from service.erasers import registry
from service.erasers.gates import judge_version
from service.schemas.gates import GateThresholds
from service.settings import Settings
from tests.service.calls import code
from tests.service.conftest import serving
from tests.service.hand import PASSING, add_eraser, gateway_of
from tests.service.test_audit import entries
from tests.service.test_idempotency import restarted

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()
STRICT: dict[str, Any] = {"max_erased": 0.02, "min_kept": 0.99}


def put(client: TestClient, concept: str = "cat", **own: Any) -> dict[str, Any]:
    response = client.put(f"/gates/{concept}", json=own)
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    return made


def verdict(client: TestClient, concept: str = "cat", version: int = 1) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/erasers/{concept}/{version}/report").json()["gate"]
    return told


def last_entry(client: TestClient) -> tuple[str, str, dict[str, Any]]:
    entry = entries(client)[-1]
    return entry["action"], entry["subject"], entry["details"]


def test_every_threshold_can_be_set_within_the_range_of_its_setting() -> None:
    of_concept = GateThresholds.model_json_schema()["properties"]
    assert set(of_concept) == {field.name for field in fields(Thresholds)}
    of_deployment = Settings.model_json_schema()["properties"]
    ranges = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    for name, schema in of_concept.items():
        number, nothing = schema["anyOf"]
        assert nothing == {"type": "null"}
        assert [number.get(end) for end in ranges] == [of_deployment[f"gate_{name}"].get(end) for end in ranges]


def test_a_gate_is_of_a_concept_and_not_of_an_alias(client: TestClient) -> None:
    add_eraser(client, "cat", evaluation=PASSING)
    assert client.put("/aliases/kitty", json={"concept": "cat"}).status_code == 200
    assert code(client.put("/gates/kitty", json=STRICT)) == "alias_conflict"
    put(client, "puss", **STRICT)
    assert code(client.put("/aliases/puss", json={"concept": "cat"})) == "alias_conflict"


def test_the_readmes_gate(client: TestClient) -> None:
    (block,) = re.findall(r"<!-- runs in tests/service/test_gates.py -->\n```json\n(.*?)```", README, re.DOTALL)
    own = json.loads(block)
    made = put(client, "nudity", **own)
    assert {name: made["thresholds"][name] for name in own} == own
    assert f"clearway gates set nudity {' '.join(f'{name}={value:g}' for name, value in own.items())}`" in README


@pytest.mark.both_databases
def test_set_shown_replaced_and_taken_away(client: TestClient) -> None:
    deployment = client.get("/gates").json()["deployment"]
    assert (client.get("/gates").json()["data"], deployment["max_erased"]) == ([], 0.1)
    made = put(client, " Cat", **STRICT)
    assert (made["concept"], made["deployment"]) == ("cat", deployment)
    assert {name: value for name, value in made["own"].items() if value is not None} == STRICT
    assert made["thresholds"] == {**deployment, **STRICT}
    assert {name for name, source in made["sources"].items() if source == "concept"} == set(STRICT)
    assert made["set_by"] == client.get("/keys").json()["data"][0]["id"]
    put(client, "a", max_drift=0.5)
    assert client.get("/gates").json()["data"] == [client.get("/gates/a").json(), made]
    assert client.get("/gates/CAT").json() == made
    again = client.put("/gates/cat", json={**made["own"], "max_erased": None}).json()  # what is read can be put
    assert again["thresholds"]["max_erased"] == deployment["max_erased"]
    assert put(client, max_drift=3)["thresholds"] == {**deployment, "max_drift": 3}
    assert client.delete("/gates/cat").status_code == 204
    assert code(client.get("/gates/cat")) == code(client.delete("/gates/cat")) == "not_found"


@pytest.mark.both_databases
def test_a_stricter_gate_refuses_what_the_deployment_passes_and_an_override_still_passes(client: TestClient) -> None:
    add_eraser(client, "cat", active=False)
    assert verdict(client)["passed"]
    assert set(verdict(client)["sources"].values()) == {"deployment"}
    put(client, **STRICT)
    told = verdict(client)
    reasons = ["erased_rate is 0.021 of origin, above 0.02", "kept_rate 0.970 is below 0.99"]
    assert [reason.partition(":")[0] for reason in told["reasons"]] == reasons
    assert (told["thresholds"]["max_erased"], told["deployment"]["max_erased"]) == (0.02, 0.1)
    assert [told["sources"][name] for name in ("max_erased", "min_kept", "max_synonym")] == ["concept", "concept", "deployment"]
    assert code(client.post("/erasers/cat/1/activate")) == "gate_not_passed"
    assert client.post("/erasers/cat/1/activate", json={"override": True, "reason": "a test"}).is_success
    action, subject, details = last_entry(client)
    assert (action, subject, details["override"], details["gate"]) == ("eraser.activated", "cat@1", True, told)


@pytest.mark.both_databases
def test_a_laxer_gate_passes_what_the_deployment_refuses_for_this_concept_alone(client: TestClient) -> None:
    weak = {**PASSING, "erased_rate": 0.3}
    for concept in ("cat", "dog"):
        add_eraser(client, concept, active=False, evaluation=weak)
    put(client, max_erased=0.5)
    assert (verdict(client)["passed"], verdict(client, "dog")["passed"]) == (True, False)
    assert client.post("/erasers/cat/1/activate").is_success
    gate = last_entry(client)[2]["gate"]
    assert (gate["passed"], gate["thresholds"]["max_erased"], gate["deployment"]["max_erased"]) == (True, 0.5, 0.1)
    assert code(client.post("/erasers/dog/1/activate")) == "gate_not_passed"


@pytest.mark.both_databases
def test_the_log_has_what_it_was_and_what_it_became(client: TestClient) -> None:
    deployment = client.get("/gates").json()["deployment"]
    put(client, max_erased=0.02)
    assert last_entry(client) == ("gate.put", "cat", {"before": None, "after": {"max_erased": 0.02}, "deployment": deployment})
    put(client, max_erased=1, max_drift=0)
    after = {"max_erased": 1.0, "max_drift": 0.0}
    assert last_entry(client)[2] == {"before": {"max_erased": 0.02}, "after": after, "deployment": deployment}
    client.delete("/gates/cat")
    assert last_entry(client) == ("gate.deleted", "cat", {"before": after, "after": None, "deployment": deployment})


def test_it_survives_a_restart_and_a_change_of_the_settings(settings: Settings) -> None:
    with serving(settings) as client:
        put(client, max_erased=0.02)
    with restarted(settings.model_copy(update={"gate_min_kept": 0.5})) as again:
        found = again.get("/gates/cat").json()
        assert (found["thresholds"]["max_erased"], found["thresholds"]["min_kept"]) == (0.02, 0.5)


@pytest.mark.both_databases
def test_what_changes_after_the_report_judges_the_activation(client: TestClient) -> None:
    add_eraser(client, "cat", active=False)
    assert verdict(client)["passed"]
    put(client, max_erased=0.0)
    assert code(client.post("/erasers/cat/1/activate")) == "gate_not_passed"


@pytest.mark.both_databases
def test_no_change_comes_between_the_verdict_and_the_activation(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that is set while a version is being activated waits, and judges the next one."""
    add_eraser(client, "cat", active=False)
    putting = threading.Thread(target=lambda: put(client, max_erased=0.0))

    def meanwhile(*args: Any) -> Any:
        found = judge_version(*args)
        putting.start()
        putting.join(0.3)
        assert putting.is_alive()
        return found

    monkeypatch.setattr("service.erasers.registry.judge_version", meanwhile)
    assert client.post("/erasers/cat/1/activate").is_success
    putting.join()
    assert [entry["action"] for entry in entries(client)[-2:]] == ["eraser.activated", "gate.put"]
    assert not verdict(client)["passed"]
    with gateway_of(client).database.read() as session:
        assert registry.find(session, "cat", 1).status == "active"
