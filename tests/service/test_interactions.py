"""A new eraser beside those that are active: which are pinned for its training, and what its report and the gate make of it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import Settings
from tests.service.calls import code, train, wait_until
from tests.service.conftest import serving
from tests.service.hand import PASSING, Hand, add_eraser
from tests.service.test_audit import entries
from workers.contract import EraserPin, Interaction, TrainingTask

MEASURED = {"origin_rate": 0.8, "erased_rate": 0.1, "other_origin_rate": 1.0, "other_erased_rate": 0.1, "kept_rate": 0.9}


def names(task: TrainingTask) -> list[str]:
    return [pin.concept for pin in task.active]


def trained(client: TestClient, hand: Hand, **rates: float | None) -> TrainingTask:
    """A candidate of `cat`, measured together with all that was pinned."""
    accepted = train(client, "cat")
    task = hand.take_training()
    pairs = [Interaction(eraser=pin, measured="frames", n=4, **{**MEASURED, **rates}) for pin in task.active]
    hand.finish_training(task, {**PASSING, "interactions": [pair.model_dump(mode="json") for pair in pairs]})
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "candidate")
    return task


def report(client: TestClient) -> dict[str, Any]:
    told: dict[str, Any] = client.get("/erasers/cat/1/report").json()
    return told


@pytest.mark.both_databases
def test_active_erasers_of_other_concepts_are_pinned_newest_first(client: TestClient, hand: Hand) -> None:
    add_eraser(client, "dog")
    add_eraser(client, "foreign", fingerprint="e" * 64)
    add_eraser(client, "candidate", active=False)
    add_eraser(client, "church", active=False)
    assert client.post("/erasers/church/2/activate").is_success
    assert client.post("/erasers/parachute/1/retire").is_success
    newest = client.get("/erasers/church/2").json()
    train(client, "cat")
    task = hand.take_training()
    assert names(task) == ["church", "dog"]
    assert task.active[0] == EraserPin(concept="church", version=2, digest=newest["digest"], strength=1.5)
    train(client, "dog")  # its own version will be replaced, not stood beside
    assert names(hand.take_training()) == ["church"]


@pytest.mark.both_databases
def test_every_attempt_measures_the_same(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "cat")
    first = hand.take_training()
    add_eraser(client, "dog")
    assert client.post("/erasers/church/1/retire").is_success
    hand.fail("train", first, "out_of_memory", retryable=True)
    again = hand.take_training()
    assert (again.id, again.attempt, again.active) == (first.id, 2, first.active)
    assert sorted(names(again)) == ["church", "parachute"]
    assert accepted["status"] == "training"


@pytest.mark.parametrize("most", [0, 1])
def test_their_number_is_bounded(settings: Settings, hand: Hand, most: int) -> None:
    with serving(settings.model_copy(update={"interaction_erasers": most})) as client:
        train(client, "cat")
        assert names(hand.take_training()) == ["parachute"][:most]  # the newest


@pytest.mark.both_databases
def test_the_report_has_them_and_the_gate_passes_them(client: TestClient, hand: Hand) -> None:
    trained(client, hand)
    told = report(client)
    assert told["gate"]["passed"]
    assert [(pair["concept"], pair["version"], pair["active"]) for pair in told["interactions"]] == [
        ("parachute", 1, True), ("church", 1, True)
    ]  # fmt: skip
    assert told["interactions"][0].items() >= {**MEASURED, "left": 0.125, "other_left": 0.1, "n": 4, "reason": None}.items()
    assert client.post("/erasers/cat/1/activate").is_success


@pytest.mark.both_databases
def test_the_gate_refuses_for_as_long_as_the_other_is_active(client: TestClient, hand: Hand) -> None:
    task = trained(client, hand, other_erased_rate=0.4)
    cure = "train another version, or retire the other one first"
    reasons = [f"together with {name}@1, 0.400 of {name} is left, above 0.25; {cure}" for name in names(task)]
    assert report(client)["gate"]["reasons"] == reasons
    refused = client.post("/erasers/cat/1/activate")
    assert (code(refused), all(reason in refused.text for reason in reasons)) == ("gate_not_passed", True)
    assert client.post("/erasers/parachute/1/retire").is_success
    assert report(client)["gate"]["reasons"] == reasons[1:]
    assert [pair["active"] for pair in report(client)["interactions"]] == [False, True]
    assert client.put("/gates/cat", json={"max_interaction": 0.4}).is_success
    assert client.post("/erasers/cat/1/activate").is_success
    assert entries(client)[-1]["details"]["gate"]["thresholds"]["max_interaction"] == 0.4


def test_an_override_is_on_record_with_the_reason(client: TestClient, hand: Hand) -> None:
    trained(client, hand, kept_rate=0.5)
    assert client.post("/erasers/cat/1/activate", json={"override": True, "reason": "a test"}).is_success
    reasons = entries(client)[-1]["details"]["gate"]["reasons"]
    assert reasons[0].startswith("together with parachute@1, kept_rate 0.500 is below 0.75")


@pytest.mark.parametrize(
    ("interactions", "passed"),
    [
        ([], True),
        ([{"eraser": {"concept": "church", "version": 1, "digest": "a" * 64}, "reason": "not in the store"}], True),
        ([{"concept": "church"}], False),
        ([{"eraser": {"concept": "church", "version": 1, "digest": "a" * 64}, "erased_rate": -1}], False),
        ({}, False),
        (None, False),
        ("none", False),
    ],
)
def test_what_was_not_measured_passes_and_what_cannot_be_read_does_not(
    client: TestClient, interactions: Any, passed: bool
) -> None:
    add_eraser(client, "cat", active=False, evaluation={**PASSING, "interactions": interactions})
    told = report(client)
    assert told["gate"]["passed"] is passed
    assert len(told["interactions"]) == (len(interactions) if passed else 0)
    assert told["evaluation"]["interactions"] == interactions
