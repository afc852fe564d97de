"""Cancelling a training or an evaluation of an eraser version: it ends at once and for good, and its trainer is told to stop."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from tests.service.calls import code, train, wait_until
from tests.service.hand import Hand
from workers.common_settings import CommonSettings
from workers.contract import TRAIN_QUEUE, rq_job_id
from workers.queue_messages import StopCommand


def told_to_stop(commands: Any, name: str) -> bool:
    message = commands.get_message(timeout=0.1)
    if message is None or message["type"] != "message":
        return False
    return CommonSettings().queue_keys().open(StopCommand, message["data"]).name == name


@pytest.mark.both_databases
def test_a_queued_training_is_cancelled_at_once(client: TestClient, redis: Redis) -> None:
    train(client, "cat")
    response = client.post("/erasers/cat/1/cancel")
    body = response.json()
    assert (response.status_code, body["status"], body["error"]["code"]) == (200, "failed", "cancelled")
    assert redis.llen(f"rq:queue:{TRAIN_QUEUE}") == 0
    assert client.post("/erasers/cat/1/cancel").json() == body
    settled = client.get("/audit", params={"action": "training.settled"}).json()["data"][-1]
    assert (settled["subject"], settled["details"]["status"]) == ("cat@1", "canceled")
    assert settled["actor"] is not None
    assert train(client, "cat")["version"] == 2


def test_a_running_training_is_cancelled_and_its_trainer_told_to_stop(client: TestClient, hand: Hand, redis: Redis) -> None:
    train(client, "cat")
    task = hand.take_training()
    with redis.pubsub() as commands:
        commands.subscribe(f"rq:pubsub:{hand.name}")
        assert client.post("/erasers/cat/1/cancel").json()["status"] == "failed"
        for _ in range(2):  # the second comes from the sweep, for as long as the trainer holds on
            wait_until(lambda: told_to_stop(commands, rq_job_id(task.id, 1)))
    hand.finish_training(task)  # the trainer did not listen: what it made is no candidate
    version = client.get("/erasers/cat/1").json()
    assert (version["status"], version["digest"], version["error"]["code"]) == ("failed", None, "cancelled")


def test_the_trainers_own_word_that_it_was_cancelled(client: TestClient, hand: Hand) -> None:
    train(client, "cat")
    hand.fail("train", hand.take_training(), "cancelled")
    failed = wait_until(lambda: (now := client.get("/erasers/cat/1").json())["status"] == "failed" and now)
    assert failed["error"]["code"] == "cancelled"
    assert client.post("/erasers/cat/1/cancel").json()["status"] == "failed"


@pytest.mark.both_databases
def test_a_cancelled_evaluation_leaves_the_version_as_it_was(client: TestClient, hand: Hand) -> None:
    before = client.get("/erasers/church/1").json()
    assert client.post("/erasers/church/1/evaluate").status_code == 202
    assert code(client.post("/erasers/church/1/evaluate")) == "invalid_state"
    task = hand.take_evaluation()
    after = client.post("/erasers/church/1/cancel").json()
    job = after["evaluation_job"]
    assert (job["status"], job["error"]["code"]) == ("canceled", "cancelled")
    hand.finish_evaluation(task, {"origin_rate": 0.0})
    assert {**client.get("/erasers/church/1").json(), "evaluation_job": None} == before
    assert client.post("/erasers/church/1/evaluate").status_code == 202


def test_what_has_ended_or_never_was_is_refused(client: TestClient, user: TestClient, hand: Hand) -> None:
    accepted = train(client, "cat")
    hand.finish_training(hand.take_training())
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "candidate")
    for version, told in (("cat/1", "succeeded"), ("church/1", "was not trained here")):
        refused = client.post(f"/erasers/{version}/cancel")
        assert (code(refused), told in refused.json()["error"]["message"]) == ("invalid_state", True)
    assert code(client.post("/erasers/cat/9/cancel")) == "not_found"
    assert code(user.post("/erasers/cat/1/cancel")) == "forbidden"
    assert client.get("/erasers/cat/1").json()["status"] == "candidate"
