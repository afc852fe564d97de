"""Server-sent events: everything once, in order, from where the client left off, and always an end."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx_sse
from fastapi.testclient import TestClient
from redis import Redis

from service.client import Event, read_events
from tests.service.calls import generate, train, wait_until
from tests.service.hand import Hand
from workers.contract import events_key


def events(client: TestClient, path: str, **headers: str) -> list[Event]:
    with client.stream("GET", path, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return list(read_events(httpx_sse.EventSource(response)))


def told(events: list[Event]) -> list[tuple[str, Any]]:
    """Names and data, without ids: an event without an id has the last id of its stream."""
    return [(event.name, event.data) for event in events]


class Follower(threading.Thread):
    """Follows a stream to its end beside the test."""

    def __init__(self, client: TestClient, path: str) -> None:
        super().__init__()
        self.seen: list[Event] = []
        self._call: Any = lambda: events(client, path)

    def run(self) -> None:
        self.seen = self._call()


def test_followed_from_the_queue_to_the_end(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    follower = Follower(client, accepted["links"]["events"])
    follower.start()
    task = hand.take_generation()
    hand.say(task, "started", attempt=1)
    for step in (1, 2):
        hand.say(task, "step", stage="denoise", step=step, total=2)
    hand.say(task, "finished")
    hand.finish(task)
    follower.join(8)
    assert [event.name for event in follower.seen] == ["started", "step", "step", "finished", "settled"]
    assert [event.data["step"] for event in follower.seen if event.name == "step"] == [1, 2]
    assert follower.seen[-1].data == client.get(accepted["links"]["self"]).json()
    assert follower.seen[-1].data["status"] == "succeeded"


def test_a_client_that_comes_back_gets_what_it_missed(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    ids = [hand.say(task, "step", stage="denoise", step=step, total=3) for step in (1, 2, 3)]
    hand.fail("generate", task)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "failed")
    everything = events(client, accepted["links"]["events"])
    assert [event.id for event in everything] == [*ids, ids[-1]]  # the last event has no id of its own
    rest = events(client, accepted["links"]["events"], **{"last-event-id": ids[1]})
    assert told(rest) == told(everything[2:])
    assert rest[-1].data["error"]["code"] == "out_of_memory"
    assert events(client, accepted["links"]["events"], **{"last-event-id": ids[2]})[0].data == everything[3].data
    assert events(client, accepted["links"]["events"], **{"last-event-id": "nonsense"}) == everything


def test_the_end_comes_also_when_redis_lost_the_stream(client: TestClient, hand: Hand, redis: Redis) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    hand.say(task, "started")
    hand.finish(task)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "succeeded")
    redis.flushall()
    (only,) = events(client, accepted["links"]["events"])
    assert (only.name, only.data["status"]) == ("settled", "succeeded")


def test_a_cancel_ends_the_stream(client: TestClient) -> None:
    accepted = generate(client)
    follower = Follower(client, accepted["links"]["events"])
    follower.start()
    client.post(f"/generations/{accepted['id']}/cancel")
    follower.join(8)
    assert [(event.name, event.data["status"]) for event in follower.seen] == [("settled", "canceled")]


def test_a_training_is_followed_to_its_candidate(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "french horn")
    task = hand.take_training()
    hand.say(task, "step", stage="search", step=1, total=8)
    hand.finish_training(task)
    seen = events(client, accepted["links"]["events"])
    assert [event.name for event in seen] == ["step", "settled"]
    assert (seen[-1].data["status"], seen[-1].data["version"]) == ("candidate", 1)


def test_a_shipped_eraser_has_only_an_end(client: TestClient) -> None:
    (only,) = events(client, "/erasers/church/1/events")
    assert (only.name, only.data["status"]) == ("settled", "active")


def test_an_outcome_is_never_read_from_redis(client: TestClient, hand: Hand, redis: Redis) -> None:
    """Events that workers do not send, and data that is not an object, are left out."""
    accepted = generate(client)
    follower = Follower(client, accepted["links"]["events"])
    follower.start()
    task = hand.take_generation()
    forged = [
        (b"settled", json.dumps({**accepted, "status": "succeeded"}).encode()),
        (b"step\nevent: settled", b"{}"),
        (b"\xff\xfe", b"{}"),
        (b"step", b"[1]"),
        (b"step", b"\xff"),
        (b"step", b'{"a": ' * 10_000),
        (b"step", json.dumps({"stage": "x" * 100_000}).encode()),
        (b"step", b'{"loss": NaN}'),
    ]
    for name, data in forged:
        redis.xadd(events_key(task.id), {b"event": name, b"data": data})
    hand.fail("generate", task, "invalid_request")
    follower.join(8)
    assert told(follower.seen)[:-1] == [("step", {"loss": None})]
    assert follower.seen[-1].name == "settled"
    assert follower.seen[-1].data["status"] == "failed"
