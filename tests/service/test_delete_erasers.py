"""Deleting eraser versions that were never active: gone for clients at once, the artifact too unless another version has it, and
the number is never used again."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.store import erasers
from tests.service.calls import code, generate, train, wait_until
from tests.service.hand import Hand, add_eraser, gateway_of
from workers.contract import TrainingTask, eraser_prefix


def entries(client: TestClient, action: str) -> list[dict[str, Any]]:
    return list(client.get("/audit", params={"action": action}).json()["data"])


def candidate(client: TestClient, hand: Hand, concept: str = "cat") -> tuple[TrainingTask, str]:
    """The task that made it, and its digest."""
    accepted = train(client, concept)
    task = hand.take_training()
    result = hand.finish_training(task)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "candidate")
    return task, result.digest


@pytest.mark.both_databases
def test_a_candidate_leaves_nothing_but_its_number(client: TestClient, hand: Hand) -> None:
    task, digest = candidate(client, hand)
    assert hand.store.list(eraser_prefix(digest))
    assert client.delete("/erasers/cat/1").status_code == 204
    for gone in (client.get("/erasers/cat/1"), client.get("/erasers/cat"), client.delete("/erasers/cat/1")):
        assert code(gone) == "not_found"
    assert "cat" not in [concept["concept"] for concept in client.get("/erasers").json()["data"]]
    assert code(client.post("/generate", json={"prompt": "a cat", "erase": ["cat"]})) == "unknown_concept"
    wait_until(lambda: not hand.store.list(eraser_prefix(digest)) and not hand.store.list(f"trainings/{task.id}"))
    (entry,) = entries(client, "eraser.deleted")
    assert (entry["subject"], entry["details"]) == ("cat@1", {"digest": digest, "status": "candidate"})
    assert entry["actor"] is not None
    assert train(client, "cat")["version"] == 2


@pytest.mark.both_databases
def test_a_failed_version_can_be_deleted_and_one_in_training_after_it_is_cancelled(client: TestClient) -> None:
    train(client, "cat")
    refused = client.delete("/erasers/cat/1")
    assert (code(refused), "POST /erasers/cat/1/cancel" in refused.json()["error"]["message"]) == ("invalid_state", True)
    client.post("/erasers/cat/1/cancel")
    assert client.delete("/erasers/cat/1").status_code == 204
    assert train(client, "cat")["version"] == 2


def test_what_is_or_was_active_is_kept(client: TestClient, user: TestClient, hand: Hand) -> None:
    generate(client, erase=["church"])
    assert code(client.delete("/erasers/church/1")) == "invalid_state"
    client.post("/erasers/church/1/retire")
    assert code(client.delete("/erasers/church/1")) == "invalid_state"
    assert client.get("/erasers/church/1").json()["status"] == "retired"
    add_eraser(client, "cat", active=False)
    assert code(user.delete("/erasers/cat/1")) == "forbidden"
    assert entries(client, "eraser.deleted") == []


def test_the_artifact_stays_while_another_version_has_it(client: TestClient, hand: Hand) -> None:
    for _ in range(2):
        add_eraser(client, "cat", active=False)
    prefix = eraser_prefix(client.get("/erasers/cat/1").json()["digest"])
    hand.store.put(f"{prefix}/config.json", b"{}")
    assert client.delete("/erasers/cat/1").status_code == 204
    assert remains(client) == 0
    assert hand.store.list(prefix)
    assert client.delete("/erasers/cat/2").status_code == 204
    assert not hand.store.list(prefix)


def test_the_artifact_stays_while_the_concept_is_trained_which_may_make_the_same_again(client: TestClient, hand: Hand) -> None:
    _, digest = candidate(client, hand)
    train(client, "cat")
    assert client.delete("/erasers/cat/1").status_code == 204
    assert hand.store.list(eraser_prefix(digest))
    client.post("/erasers/cat/2/cancel")
    wait_until(lambda: remains(client) == 0)
    assert not hand.store.list(eraser_prefix(digest))


def test_its_evaluation_is_cancelled_first(client: TestClient, hand: Hand) -> None:
    add_eraser(client, "cat", active=False)
    client.post("/erasers/cat/1/evaluate")
    task = hand.take_evaluation()
    assert client.delete("/erasers/cat/1").status_code == 204
    assert entries(client, "evaluation.settled")[-1]["details"]["status"] == "canceled"
    hand.finish_evaluation(task)
    wait_until(lambda: not hand.store.list(f"evaluations/{task.id}"))


def test_the_training_of_a_deleted_version_is_not_answered_again(client: TestClient, hand: Hand) -> None:
    key = {"idempotency-key": "once"}
    assert client.post("/erasers", json={"concept": "cat"}, headers=key).status_code == 202
    client.post("/erasers/cat/1/cancel")
    assert client.delete("/erasers/cat/1").status_code == 204
    again = client.post("/erasers", json={"concept": "cat"}, headers=key)
    assert (code(again), "deleted" in again.json()["error"]["message"]) == ("invalid_state", True)


def test_a_version_that_a_policy_names_is_kept(client: TestClient) -> None:
    for _ in range(2):
        add_eraser(client, "cat", active=False)
    assert client.put("/policies/house", json={"mandatory": [{"concept": "cat", "version": 2}]}).is_success
    assert code(client.delete("/erasers/cat/2")) == "policy_needs_eraser"
    assert client.delete("/erasers/cat/1").status_code == 204


def remains(client: TestClient) -> int:
    with gateway_of(client).database.read() as session:
        return len(erasers.deleted_with_artifact(session))
