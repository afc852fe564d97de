"""Cancelling is at once and for good; deleting leaves nothing, also when a worker is still at it."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy import text

from tests.service.calls import code, generate, wait_until
from tests.service.hand import Hand, gateway_of
from workers.common_settings import CommonSettings
from workers.contract import GENERATE_QUEUE, events_key, rq_job_id
from workers.queue_messages import StopCommand


def test_queued_is_canceled_at_once_and_leaves_the_queue(client: TestClient, hand: Hand, redis: Redis) -> None:
    accepted, other = generate(client), generate(client)
    body = client.post(f"/generations/{accepted['id']}/cancel").json()
    assert (body["status"], body["error"]["code"], body["started_at"]) == ("canceled", "cancelled", None)
    assert body["finished_at"] is not None
    assert not redis.exists(f"rq:job:{rq_job_id(accepted['id'], 1)}")
    assert hand.take_generation().id == other["id"]
    assert client.post(f"/generations/{accepted['id']}/cancel").json() == body


@pytest.mark.both_databases
def test_running_is_canceled_at_once_and_its_worker_told_to_stop(client: TestClient, hand: Hand, redis: Redis) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    name = rq_job_id(task.id, 1)
    with redis.pubsub() as commands:
        commands.subscribe(f"rq:pubsub:{hand.name}")
        body = client.post(f"/generations/{accepted['id']}/cancel").json()
        assert (body["status"], body["error"]["code"]) == ("canceled", "cancelled")

        def told() -> bool:
            message = commands.get_message(timeout=0.1)
            if message is None or message["type"] != "message":
                return False
            return CommonSettings().queue_keys().open(StopCommand, message["data"]).name == name

        wait_until(told)
        wait_until(told)  # said again by the sweep for as long as the worker holds on
    hand.finish(task)  # the worker did not listen: its video is never shown
    assert client.get(accepted["links"]["self"]).json()["status"] == "canceled"
    assert code(client.get(accepted["links"]["video"])) == "not_finished"


def test_the_workers_own_word_that_it_was_cancelled(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    hand.fail("generate", task, "cancelled")
    body = wait_until(lambda: (now := client.get(accepted["links"]["self"]).json())["status"] == "canceled" and now)
    assert body["error"]["code"] == "cancelled"


@pytest.mark.both_databases
def test_cancelling_what_just_ended_tells_the_truth(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    hand.finish(hand.take_generation(), hint=False)
    response = client.post(f"/generations/{accepted['id']}/cancel")
    assert (code(response), client.get(accepted["links"]["self"]).json()["status"]) == ("invalid_state", "succeeded")


@pytest.mark.both_databases
def test_deleting_leaves_nothing(client: TestClient, hand: Hand, redis: Redis) -> None:
    accepted = generate(client, prompt="very private words", metadata={"who": "me"})
    task = hand.take_generation()
    hand.say(task, "started")
    hand.finish(task)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "succeeded")
    assert client.delete(accepted["links"]["self"]).status_code == 204
    for answer in (
        client.get(accepted["links"]["self"]),
        client.get(accepted["links"]["video"]),
        client.delete(accepted["links"]["self"]),
    ):
        assert code(answer) == "not_found"
    assert client.get("/generations").json()["data"] == []
    assert hand.store.list(f"videos/{accepted['id']}") == []
    assert not redis.exists(events_key(accepted["id"]))
    assert rows(client) == []


def test_deleting_a_queued_one_takes_it_out_of_the_queue(client: TestClient, redis: Redis) -> None:
    accepted = generate(client)
    assert client.delete(accepted["links"]["self"]).status_code == 204
    assert redis.llen(f"rq:queue:{GENERATE_QUEUE}") == 0


@pytest.mark.both_databases
def test_deleting_while_a_worker_is_at_it(client: TestClient, hand: Hand) -> None:
    """Gone for clients at once, its words too; files and row when the worker has let go, so that it cannot write them anew."""
    accepted = generate(client, prompt="very private words")
    task = hand.take_generation()
    assert client.delete(accepted["links"]["self"]).status_code == 204
    assert code(client.get(accepted["links"]["self"])) == "not_found"
    assert [row for row in rows(client) if "private" in row] == []
    assert len(rows(client)) == 1
    hand.finish(task)
    wait_until(lambda: rows(client) == [])
    assert hand.store.list(f"videos/{accepted['id']}") == []


def rows(client: TestClient) -> list[str]:
    with gateway_of(client).database.read() as session:
        return [str(tuple(row)) for row in session.execute(text("SELECT * FROM jobs"))]
