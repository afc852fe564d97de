"""Limits of a key hold in both dialects, at any number of gateways, and without Redis; what is refused costs nothing."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from service.acceptance.limits import take
from service.app import create_app
from service.errors import LimitError
from service.settings import Settings
from service.store import line
from tests.service.calls import code, generate, settled, train, wait_until
from tests.service.conftest import serving
from tests.service.hand import Hand, gateway_of
from tests.service.test_fair_share import WINDOW, in_queue, key_of

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()
START = datetime(2026, 1, 1, tzinfo=UTC)


def with_limits(operator: TestClient, *, role: str = "user", **limits: int | None) -> TestClient:
    made = operator.post("/keys", json={"name": "limited", "role": role, "limits": limits})
    assert made.status_code == 201, made.text
    return TestClient(operator.app, headers={"authorization": f"Bearer {made.json()['key']}"})


def ask(client: TestClient, **body: Any) -> Response:
    return client.post("/generate", json={"prompt": "a", **body})


def change(operator: TestClient, client: TestClient, **body: Any) -> dict[str, Any]:
    response = operator.patch(f"/keys/{key_of(client)}", json=body)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    return changed


def test_the_readmes_key(client: TestClient) -> None:
    (block,) = re.findall(r"<!-- runs in tests/service/test_limits.py -->\n```json\n(.*?)```", README, re.DOTALL)
    wanted = json.loads(block)
    made = client.post("/keys", json=wanted).json()
    assert {name: made[name] for name in wanted} == wanted


@given(st.integers(1, 50), st.lists(st.floats(0, 20), min_size=1, max_size=200))
def test_a_bucket_gives_what_it_holds_and_what_flows_in(per_minute: int, pauses: list[float]) -> None:
    """In any span of time no more than the bucket and what flows into it meanwhile; after the wait that it names, one more."""
    full_at, now, taken = None, START, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        try:
            full_at = take(full_at, per_minute=per_minute, now=now)
        except LimitError as refused:
            assert full_at is not None
            take(full_at, per_minute=per_minute, now=now + timedelta(seconds=refused.retry_after_seconds))
        else:
            taken.append(now)
    for place, begin in enumerate(taken):
        seconds = (taken[-1] - begin).total_seconds()
        assert len(taken) - place <= per_minute + seconds * per_minute / 60 + 1e-6


def test_so_many_requests_in_both_dialects_and_not_one_more(client: TestClient) -> None:
    limited = with_limits(client, role="operator", requests_per_minute=3)
    first = limited.post("/generate", json={"prompt": "a"}, headers={"Idempotency-Key": "k"})
    assert first.status_code == 202
    assert limited.post("/v1/videos", json={"prompt": "a"}).status_code == 200
    for refused in (  # none of these is counted
        ask(limited, erase=["nothing"]),
        limited.post("/generate?dry_run=true", json={"prompt": "a"}),
        limited.post("/generate", json={"prompt": "a"}, headers={"Idempotency-Key": "k"}),
    ):
        assert refused.status_code in (422, 200, 202)
    train(limited)
    for refused in (
        ask(limited),
        limited.post("/v1/videos", json={"prompt": "a"}),
        limited.post("/erasers", json={"concept": "b"}),
    ):
        assert (refused.status_code, code(refused), refused.json()["error"]["type"]) == (429, "rate_limited", "rate_limit_error")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
    generate(client)  # another key
    assert client.get(f"/generations/{first.json()['id']}").is_success


def test_deleting_and_wiping_give_no_requests_back(client: TestClient, redis: Redis) -> None:
    limited = with_limits(client, requests_per_minute=1)
    assert limited.delete(generate(limited)["links"]["self"]).status_code == 204
    redis.flushall()
    assert code(ask(limited)) == "rate_limited"


def test_so_many_may_be_queued(client: TestClient, hand: Hand) -> None:
    limited = with_limits(client, max_queued=2)
    ids = [generate(limited)["id"] for _ in range(2)]
    refused = ask(limited)
    assert (refused.status_code, code(refused)) == (429, "too_many_queued")
    assert code(limited.post("/v1/videos", json={"prompt": "a"})) == "too_many_queued"
    hand.take_generation()
    wait_until(lambda: ask(limited).status_code == 202)  # the first is seen to run
    assert limited.post(f"/generations/{ids[1]}/cancel").is_success
    assert ask(limited).status_code == 202
    assert code(ask(limited)) == "too_many_queued"


def test_requests_that_come_together_at_two_gateways_are_counted_one_by_one(settings: Settings, client: TestClient) -> None:
    by_rate, by_queue = with_limits(client, requests_per_minute=3), with_limits(client, max_queued=3)
    with TestClient(create_app(settings)) as second, ThreadPoolExecutor(8) as pool:
        for limited, refusal in ((by_rate, "rate_limited"), (by_queue, "too_many_queued")):
            both = [limited, TestClient(second.app, headers=dict(limited.headers))]
            answers = list(pool.map(ask, both * 6))
            assert sorted(answer.status_code for answer in answers) == [202] * 3 + [429] * 9
            assert {code(answer) for answer in answers if answer.status_code == 429} == {refusal}


def test_the_whole_queue_is_bounded_at_two_gateways(settings: Settings) -> None:
    bounded = settings.model_copy(update={"max_queued": 3})
    with serving(bounded) as client, TestClient(create_app(bounded)) as second, ThreadPoolExecutor(8) as pool:
        both = [client, TestClient(second.app, headers=dict(client.headers))]
        answers = list(pool.map(ask, both * 6))
        assert sorted(answer.status_code for answer in answers) == [202] * 3 + [503] * 9
        assert {code(answer) for answer in answers if answer.status_code == 503} == {"queue_full"}
        assert code(client.post("/v1/videos", json={"prompt": "a"})) == "queue_full"
        assert code(client.post("/erasers", json={"concept": "cat"})) == "queue_full"


def test_what_is_beyond_its_keys_concurrency_waits_and_others_go_first(client: TestClient, user: TestClient, hand: Hand) -> None:
    limited = with_limits(client, max_running=1)
    mine = [generate(limited)["id"] for _ in range(3)]
    theirs = generate(user)["id"]
    first = hand.take_generation()
    assert (first.id, hand.take_generation().id) == (mine[0], theirs)
    gateway_of(client).sweep.run()
    assert hand.take() is None
    hand.finish(first)
    second = hand.take_generation()
    assert second.id == mine[1]
    change(client, limited, limits={"max_running": None})
    third = hand.take()
    assert third is not None
    assert third["id"] == mine[2]  # at once, not with the next sweep


def test_generations_and_trainings_share_a_keys_concurrency(client: TestClient, hand: Hand) -> None:
    limited = with_limits(client, role="operator", max_running=1)
    asked = generate(limited)
    train(limited)
    assert hand.look("train") is None
    hand.finish(hand.take_generation())
    assert wait_until(lambda: settled(limited, asked["id"]))
    wait_until(lambda: hand.look("train"))


def test_so_many_trainings_at_once(client: TestClient, hand: Hand) -> None:
    limited = with_limits(client, role="operator", max_trainings=1)
    train(limited, "a")
    train(limited, "b")
    task = hand.take_training()
    assert task.concept == "a"
    assert hand.look("train") is None
    generate(limited)
    assert hand.look("generate") is not None  # of other kinds it says nothing
    hand.finish_training(task)
    assert wait_until(lambda: hand.take("train"))["concept"] == "b"


def test_gateways_that_fill_at_once_keep_to_a_keys_concurrency(settings: Settings, client: TestClient, redis: Redis) -> None:
    limited = with_limits(client, max_running=2)
    with TestClient(create_app(settings)) as second, ThreadPoolExecutor(8) as pool:
        both = [limited, TestClient(second.app, headers=dict(limited.headers))]
        list(pool.map(ask, both * 6))
        assert len(in_queue(redis)) == 2 < WINDOW
        with gateway_of(client).database.read() as session:
            assert line.queued(session, key_id=key_of(limited), most=100) == 12


def test_defaults_come_from_settings_and_null_is_none(settings: Settings) -> None:
    with serving(settings.model_copy(update={"key_max_queued": 5, "key_requests_per_minute": 7})) as client:
        (first,) = client.get("/keys").json()["data"]
        assert set(first["limits"].values()) == {None}  # the operator's of the first start
        plain = client.post("/keys", json={"name": "a"}).json()
        assert plain["limits"] == {"requests_per_minute": 7, "max_running": None, "max_queued": 5, "max_trainings": None}
        own = client.post("/keys", json={"name": "a", "limits": {"max_queued": None, "max_running": 1}}).json()
        assert own["limits"] == {"requests_per_minute": 7, "max_running": 1, "max_queued": None, "max_trainings": None}
        assert own["priority"] == "normal"


def test_a_change_leaves_out_what_it_does_not_name_and_is_audited(client: TestClient) -> None:
    limited = with_limits(client, max_queued=2, max_running=1)
    changed = change(client, limited, priority="high", limits={"max_queued": None, "requests_per_minute": 9})
    assert (changed["name"], changed["priority"]) == ("limited", "high")
    assert changed["limits"] == {"requests_per_minute": 9, "max_running": 1, "max_queued": None, "max_trainings": None}
    assert change(client, limited, name="shop") == {**changed, "name": "shop"}
    assert {**changed, "name": "shop"} in client.get("/keys").json()["data"]
    entry = client.get("/audit?action=key.changed").json()["data"][-1]
    assert entry["subject"] == key_of(limited)
    limits = changed["limits"]
    assert entry["details"] == {"name": "shop", "role": "user", "expires_at": None, "priority": "high", "limits": limits}


@pytest.mark.parametrize("path", ["/generate", "/v1/videos"])
def test_a_priority_is_not_the_requests(client: TestClient, path: str) -> None:
    assert code(client.post(path, json={"prompt": "a", "priority": "high"})) == "unknown_field"
