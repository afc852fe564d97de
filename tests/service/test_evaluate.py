"""Evaluations: jobs on the trainer's queue that measure a version on this installation, and survive what trainings survive."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.calls import code, train, wait_until
from tests.service.hand import PASSING, Hand, add_eraser, gateway_of
from tests.service.test_audit import entries
from tests.service.test_erasers import trained
from workers.contract import EvaluationTask

POOR = {**PASSING, "erased_rate": 0.9}


def evaluate(client: TestClient, concept: str = "church", version: int = 1, **fields: Any) -> dict[str, Any]:
    response = client.post(f"/erasers/{concept}/{version}/evaluate", json=fields or None)
    assert response.status_code == 202, response.text
    body: dict[str, Any] = response.json()
    return body


def ended(client: TestClient, concept: str = "church", version: int = 1) -> dict[str, Any]:
    """The version once its evaluation has ended; from the list, so that the call itself settles nothing."""

    def look() -> dict[str, Any] | None:
        page = client.get("/erasers", params={"limit": 100}).json()["data"]
        versions = next(item["versions"] for item in page if item["concept"] == concept)
        found: dict[str, Any] = next(item for item in versions if item["version"] == version)
        return found if found["evaluation_job"]["status"] in ("succeeded", "failed", "canceled") else None

    return wait_until(look)


@pytest.mark.both_databases
def test_new_numbers_replace_the_old_and_the_state_stays(client: TestClient, hand: Hand) -> None:
    accepted = evaluate(client)
    assert (accepted["status"], accepted["evaluation"]) == ("active", PASSING)
    assert (accepted["evaluation_job"]["status"], accepted["evaluation_job"]["error"]) == ("queued", None)
    task = hand.take_evaluation()
    hand.say(task, "step", stage="generate", step=3, total=9)
    for path in ("/erasers/church/1", "/erasers/church"):
        body = client.get(path).json()
        running = body if path.endswith("1") else body["versions"][0]
        assert running["evaluation_job"]["progress"] == {"stage": "generate", "step": 3, "total": 9}
    hand.finish_evaluation(task, POOR)
    measured = ended(client)
    assert (measured["status"], measured["evaluation"]) == ("active", POOR)
    assert client.get("/erasers/church/1/report").json()["gate"]["passed"] is False
    kinds = [entry["action"] for entry in entries(client, subject="church@1")]
    assert kinds == ["evaluation.accepted", "evaluation.settled"]


@pytest.mark.both_databases
def test_a_lost_trainer_costs_an_attempt_and_three_the_evaluation(client: TestClient, hand: Hand) -> None:
    evaluate(client)
    attempts = [EvaluationTask.model_validate(wait_until(lambda: hand.take("train", hold=False))).attempt for _ in range(3)]
    assert attempts == [1, 2, 3]
    failed = ended(client)
    assert failed["evaluation_job"]["error"]["code"] == "worker_lost"
    assert (failed["status"], failed["evaluation"]) == ("active", PASSING)
    evaluate(client)  # and it can be started again
    hand.finish_evaluation(hand.take_evaluation(), POOR)
    assert ended(client)["evaluation"] == POOR


def test_a_late_attempt_changes_nothing(client: TestClient, hand: Hand) -> None:
    evaluate(client)
    first = EvaluationTask.model_validate(wait_until(lambda: hand.take("train", hold=False)))
    second = hand.take_evaluation()
    assert (first.attempt, second.attempt) == (1, 2)
    hand.finish_evaluation(first, POOR)
    hand.finish_evaluation(second, {**PASSING, "kept_rate": 0.99})
    assert ended(client)["evaluation"]["kept_rate"] == 0.99


def test_a_retryable_failure_is_tried_again(client: TestClient, hand: Hand) -> None:
    evaluate(client)
    hand.fail("evaluate", hand.take_evaluation(), "out_of_memory", retryable=True)
    assert hand.take_evaluation().attempt == 2


@pytest.mark.parametrize("changes", [{"digest": "a" * 64}, {"concept": "cat"}, {"version": 7}])
def test_numbers_of_another_artifact_do_not_count(client: TestClient, hand: Hand, changes: dict[str, Any]) -> None:
    evaluate(client)
    hand.finish_evaluation(hand.take_evaluation(), POOR, **changes)
    failed = ended(client)
    assert failed["evaluation_job"]["error"]["code"] == "internal_error"
    assert failed["evaluation"] == PASSING


def test_only_a_candidate_becomes_failed_by_what_its_artifact_is(client: TestClient, hand: Hand) -> None:
    add_eraser(client, "cat", active=False)
    for concept, then in (("church", "active"), ("cat", "failed")):
        evaluate(client, concept)
        hand.fail("evaluate", hand.take_evaluation(), "eraser_corrupt")
        assert ended(client, concept)["status"] == then
    add_eraser(client, "dog", active=False)
    evaluate(client, "dog")
    hand.fail("evaluate", hand.take_evaluation(), "invalid_pairs")
    assert ended(client, "dog")["status"] == "candidate"


def test_one_at_a_time_and_only_what_has_an_artifact(client: TestClient, user: TestClient) -> None:
    evaluate(client)
    assert code(client.post("/erasers/church/1/evaluate")) == "invalid_state"
    train(client, "cat")
    assert code(client.post("/erasers/cat/1/evaluate")) == "not_finished"
    assert code(client.post("/erasers/cat/9/evaluate")) == "not_found"
    assert code(user.post("/erasers/parachute/1/evaluate")) == "forbidden"


def test_it_is_measured_as_its_training_was_unless_the_request_says_otherwise(client: TestClient, hand: Hand) -> None:
    pairs = [{"positive": f"a cat on {place}", "negative": place} for place in ("grass", "sand", "snow")]
    train(client, "cat", synonyms=["kitty"], keep=["dog"], seed=5, pairs=pairs)
    hand.finish_training(hand.take_training())
    wait_until(lambda: client.get("/erasers/cat/1").json()["status"] == "candidate")
    evaluate(client, "cat")
    task = hand.take_evaluation()
    assert (task.synonyms, task.keep, task.seed) == (("kitty",), ("dog",), 5)
    assert task.pairs is not None
    hand.finish_evaluation(task)
    ended(client, "cat")
    evaluate(client, "cat", synonyms=["feline"], seed=6)
    task = hand.take_evaluation()
    assert (task.synonyms, task.keep, task.seed) == (("feline",), ("dog",), 6)


def test_prompts_that_would_fail_are_refused_before_they_are_accepted(client: TestClient) -> None:
    named = [{"positive": f"a church by {place}", "negative": f"a tree by {place}"} for place in ("sea", "lake", "river")]
    refused = client.post("/erasers/church/1/evaluate", json={"pairs": [*named, {"positive": "a dog", "negative": "church"}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_pairs")
    assert "line 4: the positive prompt does not name the concept" in refused.json()["error"]["message"]
    assert code(client.post("/erasers/church/1/evaluate", json={"synonyms": ["!"]})) == "invalid_concept"
    evaluate(client, pairs=named)


def test_events_are_those_of_the_evaluation_while_it_runs(client: TestClient, hand: Hand) -> None:
    trained(client, hand, "cat")
    evaluate(client, "cat")
    task = hand.take_evaluation()
    hand.say(task, "stage", stage="check")
    with ThreadPoolExecutor() as pool:
        following = pool.submit(client.get, "/erasers/cat/1/events")
        wait_until(lambda: gateway_of(client).events._open[()])
        hand.finish_evaluation(task, POOR)
        text = following.result(timeout=10).text
    assert '"stage": "check"' in text
    assert "event: settled" in text
    assert '"erased_rate":0.9' in text
