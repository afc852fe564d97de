"""A small window, filled in turn: one key's thousand jobs do not hold back another's one, and nothing is forgotten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager

import pytest
from fastapi.testclient import TestClient
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

from service.app import create_app
from service.lifecycle.rq_queue import RqQueue
from service.lifecycle.window import Window
from service.settings import Settings
from service.store import jobs, keys, line
from service.store.database import Database
from service.store.identifiers import new_id
from tests.service.calls import generate, settled, train, wait_until
from tests.service.conftest import Valkey, serving, user_of
from tests.service.hand import FINGERPRINT, Hand, gateway_of
from tests.service.plans import statements
from workers.contract import GENERATE_QUEUE, rq_job_id

WINDOW = 4  # the default
PLAN = {
    "prompt": "a", "negative_prompt": "", "model": "toy", "encoder_fingerprint": FINGERPRINT, "width": 64, "height": 64,
    "num_frames": 9, "num_inference_steps": 2, "guidance_scale": 1.0, "seed": 1, "frames_per_second": 8,
    "erase": [], "policies": [],
}  # fmt: skip


def key_of(client: TestClient) -> str:
    return str(client.headers["authorization"]).split("_")[1]


def crowd(client: TestClient, key_id: str, count: int) -> list[str]:
    """As many jobs of one key, as if they had been accepted one by one."""
    ids = sorted(new_id("gen") for _ in range(count))
    with gateway_of(client).database.write() as session:
        for job_id in ids:
            jobs.insert(session, job_id=job_id, kind="generate", model="toy", key_id=key_id, plan=PLAN, labels={})
    gateway_of(client).window.fill()
    return ids


def in_queue(redis: Redis) -> list[str]:
    return [str(name.decode()) for name in redis.lrange(f"rq:queue:{GENERATE_QUEUE}", 0, -1)]


def test_a_thousand_jobs_of_one_key_let_another_through(client: TestClient, user: TestClient, hand: Hand, redis: Redis) -> None:
    crowd(client, key_of(client), 1000)
    for _ in range(3):  # it is already at work
        hand.finish(hand.take_generation())
    wanted = generate(user)["id"]
    started_before = 0
    while (task := hand.take_generation()).id != wanted:
        started_before += 1
        hand.finish(task)
    assert started_before <= WINDOW
    hand.finish(task)
    assert wait_until(lambda: settled(user, wanted))["status"] == "succeeded"
    assert len(in_queue(redis)) <= WINDOW


def test_keys_take_turns(client: TestClient, hand: Hand) -> None:
    users = [user_of(client) for _ in range(3)]
    for user in users:
        crowd(client, key_of(user), 50)
    with gateway_of(client).database.read() as session:
        owner = {job_id: key_id for job_id, key_id in session.execute(text("SELECT id, key_id FROM jobs"))}  # noqa: C416
    served: Counter[str] = Counter()
    for _ in range(WINDOW + 30):
        task = hand.take_generation()
        served[owner[task.id]] += 1
        hand.finish(task)
    assert min(served.values()) >= 30 // 3 - 1  # but for what the first had in the window before the others came
    assert max(served.values()) <= 30 // 3 + WINDOW + 1


def test_room_is_filled_at_once_and_no_further(client: TestClient, hand: Hand, redis: Redis) -> None:
    """Without the sweep: accepting and settling ring themselves."""
    gateway_of(client).sweep.run = lambda: None  # type: ignore[method-assign]
    ids = [generate(client)["id"] for _ in range(WINDOW + 3)]
    assert in_queue(redis) == [rq_job_id(job_id, 1) for job_id in ids[:WINDOW]]
    hand.finish(hand.take_generation())
    wait_until(lambda: in_queue(redis) == [rq_job_id(job_id, 1) for job_id in ids[1 : WINDOW + 1]])
    assert client.post(f"/generations/{ids[2]}/cancel").is_success  # in the window
    assert in_queue(redis) == [rq_job_id(ids[place], 1) for place in (1, 3, 4, 5)]
    hand.take_generation()
    assert client.get(f"/generations/{ids[1]}").json()["status"] == "running"  # looking at it is enough to see it taken
    assert in_queue(redis) == [rq_job_id(ids[place], 1) for place in (3, 4, 5, 6)]


def test_what_waits_is_not_looked_for(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients ask again and again, and with S3 each look into the store is a request of its own."""
    flight, asked = gateway_of(client).flight, set[str]()
    holders = flight.holders
    monkeypatch.setattr(flight, "holders", lambda job_ids: asked.update(job_ids) or holders(job_ids))
    *rung, waiting = [generate(client)["id"] for _ in range(WINDOW + 1)]
    for job_id in (*rung, waiting):
        assert client.get(f"/generations/{job_id}").json()["status"] == "queued"
    assert asked == set(rung)


def test_what_waits_is_cancelled_and_deleted_like_anything_else(client: TestClient, hand: Hand, redis: Redis) -> None:
    ids = [generate(client)["id"] for _ in range(WINDOW + 3)]
    assert client.post(f"/generations/{ids[WINDOW]}/cancel").json()["status"] == "canceled"
    assert client.delete(f"/generations/{ids[WINDOW + 1]}").status_code == 204
    taken = [hand.take_generation().id for _ in range(WINDOW + 1)]
    assert taken == [*ids[:WINDOW], ids[-1]]
    assert hand.take() is None


def test_trainings_have_a_window_of_their_own(client: TestClient, hand: Hand) -> None:
    crowd(client, key_of(client), 20)
    train(client)
    assert hand.look("train") is not None


def test_a_priority_goes_first_and_is_the_keys_own(client: TestClient, user: TestClient, hand: Hand) -> None:
    crowd(client, key_of(client), 20)
    with gateway_of(client).database.write() as session:
        session.execute(text("UPDATE api_keys SET priority = 'high' WHERE id = :id"), {"id": key_of(user)})
    wanted = [generate(user)["id"] for _ in range(10)]
    taken = []
    for _ in range(WINDOW + 10):
        taken.append((task := hand.take_generation()).id)
        hand.finish(task)
    assert sorted(taken[WINDOW:]) == sorted(wanted)
    refused = user.post("/generate", json={"prompt": "a", "priority": "high"})
    assert refused.json()["error"]["code"] == "unknown_field"


def test_a_wiped_redis_and_an_attempt_that_is_lost_cost_no_place(client: TestClient, hand: Hand, redis: Redis) -> None:
    ids = crowd(client, key_of(client), WINDOW + 4)
    redis.flushall()
    lost = hand.take_generation()
    hand.let_go(lost)
    seen = set()
    while seen != {(job_id, 1) for job_id in ids if job_id != lost.id} | {(lost.id, 2)}:
        task = hand.take_generation()
        seen.add((task.id, task.attempt))
        hand.finish(task)
    assert hand.take() is None


def test_a_gateway_that_died_between_commit_and_ring(client: TestClient, hand: Hand) -> None:
    """What was accepted and never let in, and what was let in and never rung for: the sweep finds both."""
    with gateway_of(client).database.write() as session:
        for number in range(2):
            job = jobs.insert(
                session, job_id=f"gen_{number}", kind="generate", model="toy", key_id=key_of(client), plan=PLAN, labels={}
            )
            if number:
                line.admit(session, job, at=job.created_at)
    assert {hand.take_generation().id for _ in range(2)} == {"gen_0", "gen_1"}


@contextmanager
def opened(settings: Settings) -> Iterator[tuple[Database, Window]]:
    """As another gateway has them."""
    with (
        closing(Database(settings.database_url.get_secret_value())) as database,
        closing(Redis.from_url(settings.redis_url.get_secret_value())) as redis,
    ):
        queue = RqQueue(redis, settings.queue_keys(), generate_timeout_seconds=60, train_timeout_seconds=60)
        yield database, Window(database, queue, sizes={"generate": WINDOW, "train": 1})


def test_gateways_that_fill_at_once_do_not_overfill(settings: Settings, redis: Redis) -> None:
    with ExitStack() as stack:
        gateways = [stack.enter_context(opened(settings)) for _ in range(3)]
        database = gateways[0][0]
        with database.write() as session:
            for number in range(5):
                keys.insert(session, key_id=f"k{number}", name="k", role="user", secret_sha256="0" * 64)
            for number in range(60):
                key_id = f"k{number % 5}"
                jobs.insert(session, job_id=f"gen_{number:03}", kind="generate", model="toy", key_id=key_id, plan=PLAN, labels={})
        with ThreadPoolExecutor(9) as pool:
            for _ in range(4):
                list(pool.map(lambda gateway: gateway[1].fill(), gateways * 3))
                with database.read() as session:
                    assert line.rung(session, "generate") == WINDOW
                assert len(set(in_queue(redis))) == len(in_queue(redis)) == WINDOW
                with database.write() as session:  # workers take them all
                    for job in jobs.get_many(session, [job_id for job_id, _ in line.rung_attempts(session)]):
                        assert jobs.start(session, job, at=job.created_at)
                redis.flushall()
        with database.read() as session:
            shares = session.execute(text("SELECT count(*) FROM jobs WHERE status = 'running' GROUP BY key_id"))
            assert {count for (count,) in shares} <= {3, 4}  # 16 jobs of 5 keys


def test_two_gateways_accept_and_workers_get_every_job_once(settings: Settings, client: TestClient, hand: Hand) -> None:
    with TestClient(create_app(settings), headers=dict(client.headers)) as second, ThreadPoolExecutor(4) as pool:
        accepted = list(pool.map(lambda one: generate(one)["id"], (client, second) * 8))
        taken = []
        for _ in accepted:
            taken.append((task := hand.take_generation()).id)
            hand.finish(task)
    assert sorted(taken) == sorted(accepted)
    assert hand.take() is None


@pytest.mark.parametrize(
    "call",
    [
        lambda session: line.lines(session, "generate"),
        lambda session: line.rung(session, "generate"),
        lambda session: line.queued(session, key_id="k", most=9),
        lambda session: line.queued(session, most=9),
        lambda session: line.oldest(session, "generate", "k"),
        lambda session: line.rung_attempts(session),
    ],
)
def test_the_statements_use_their_indexes(settings: Settings, call: Callable[[Session], object]) -> None:
    """SQLite's plan names them; a scan of the table would grow with everything that was ever accepted."""
    with closing(Database(f"sqlite:///{settings.data_dir / 'clearway.db'}")) as database:
        said = statements(database, call)
    touched = [step for _, plan in said for step in plan if "jobs USING" in step]
    assert touched
    known = ("INDEX ix_jobs_waiting (kind=?", "INDEX ix_jobs_rung (kind=?", "INDEX ix_jobs_status (status=?)")
    assert all(any(index in row for index in known) for row in touched), touched
    by_status = [sql for sql, _ in said if "status = 'running'" in sql]
    assert sum("ix_jobs_status" in row for row in touched) == len(by_status)  # of what is queued, none


def test_redis_away_means_waiting_and_not_refusing(client: TestClient, hand: Hand, valkey: Valkey) -> None:
    valkey.stop()
    try:
        accepted = [generate(client)["id"] for _ in range(WINDOW + 2)]
    finally:
        valkey.start()
    assert sorted(hand.take_generation().id for _ in accepted) == sorted(accepted)


def test_a_window_is_as_large_as_it_is_set(settings: Settings, redis: Redis) -> None:
    with serving(settings.model_copy(update={"generate_window": 2})) as client:
        for _ in range(5):
            generate(client)
        assert len(in_queue(redis)) == 2


def test_a_job_that_no_worker_could_read_fails_and_makes_room(client: TestClient, hand: Hand) -> None:
    """A window full of them would hold everybody back."""
    unreadable = [new_id("gen") for _ in range(WINDOW)]
    for job_id in unreadable:
        with gateway_of(client).database.write() as session:
            jobs.insert(
                session,
                job_id=job_id,
                kind="generate",
                model="toy",
                key_id=key_of(client),
                plan={},
                labels={},
            )
    wanted = generate(client)["id"]
    assert hand.take_generation().id == wanted

    def errors() -> set[str | None]:
        with gateway_of(client).database.read() as session:
            return {failed.error_code for failed in jobs.get_many(session, unreadable)}

    wait_until(lambda: errors() == {"internal_error"})
