"""Fencing: who was paused, replaced or stalled does not publish; who merely lost sight of Redis does."""

from __future__ import annotations

import json
import threading

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.lifecycle.flight import Flight
from tests.workers.parts import Valkey
from workers.attempts import connection
from workers.attempts.attempt import Attempt
from workers.attempts.events import Events
from workers.attempts.lease import Lease
from workers.contract import lease_key
from workers.errors import Cancelled, LeaseLost, LeaseRefused


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def make(redis: Redis, clock: Clock, *, attempt: int = 1, worker: str = "w1") -> Lease:
    return Lease(redis, job_id="gen_1", attempt=attempt, worker=worker, seconds=10.0, clock=clock)


def holder(redis: Redis) -> dict[str, object] | None:
    value = redis.get(lease_key("gen_1"))
    return None if value is None else json.loads(value)  # type: ignore[arg-type]


def test_a_lease_is_taken_renewed_and_released(redis: Redis, clock: Clock) -> None:
    lease = make(redis, clock)
    lease.take()
    assert holder(redis) == {"attempt": 1, "worker": "w1"}
    redis.pexpire(lease_key("gen_1"), 500)
    clock.now += 1
    lease.verify()
    assert redis.pttl(lease_key("gen_1")) > 9000  # type: ignore[operator]
    lease.release()
    assert holder(redis) is None
    with pytest.raises(LeaseLost):
        lease.check()


def test_the_same_or_a_later_attempt_keeps_others_out(redis: Redis, clock: Clock) -> None:
    make(redis, clock, attempt=2).take()
    for attempt in (1, 2):
        with pytest.raises(LeaseRefused):
            make(redis, clock, attempt=attempt, worker="w2").take()
    assert holder(redis) == {"attempt": 2, "worker": "w1"}


def test_a_later_attempt_takes_over_and_the_earlier_one_notices(redis: Redis, clock: Clock) -> None:
    first, second = make(redis, clock), make(redis, clock, attempt=2, worker="w2")
    first.take()
    second.take()
    with pytest.raises(LeaseLost, match="another worker took it"):
        first.verify()
    first.release()
    assert holder(redis) == {"attempt": 2, "worker": "w2"}, "what is not ours must not be released"
    second.verify()


def test_what_the_gateway_gave_up_is_neither_begun_nor_gone_on_with(redis: Redis, clock: Clock) -> None:
    running, late = make(redis, clock), make(redis, clock, worker="w2")
    running.take()
    flight = Flight(redis)
    assert not flight.give_up("gen_1", attempt=1), "somebody holds it"
    running.verify()
    redis.delete(lease_key("gen_1"))
    assert flight.give_up("gen_1", attempt=1)
    with pytest.raises(LeaseRefused):
        late.take()
    with pytest.raises(LeaseLost, match="gave it up"):
        running.verify()
    successor = make(redis, clock, attempt=2, worker="w3")
    successor.take()
    successor.verify()
    successor.release()
    with pytest.raises(LeaseRefused):
        make(redis, clock, worker="w4").take()


def test_a_lease_that_cannot_be_read_is_nobodys(redis: Redis) -> None:
    for value in ("no JSON", "[]", "1", '{"attempt": "1"}'):
        redis.set(lease_key("gen_1"), value)
        assert Flight(redis).give_up("gen_1", attempt=1)


def test_paused_for_longer_than_the_lease(redis: Redis, clock: Clock) -> None:
    lease = make(redis, clock)
    lease.take()
    redis.delete(lease_key("gen_1"))  # it expired meanwhile
    clock.now += 10.5
    with pytest.raises(LeaseLost, match="paused"):
        lease.verify()
    assert holder(redis) is None
    clock.now += 1
    with pytest.raises(LeaseLost):
        lease.verify()


def test_paused_while_redis_is_away(mortal_valkey: Valkey, clock: Clock) -> None:
    lease = make(connection.brisk(mortal_valkey.url), clock)
    lease.take()
    mortal_valkey.kill()
    clock.now += 10.5
    with pytest.raises(LeaseLost, match="paused"):
        lease.verify()


def test_redis_forgot_but_this_worker_was_never_silent(redis: Redis, clock: Clock) -> None:
    lease = make(redis, clock)
    lease.take()
    redis.flushall()
    clock.now += 1
    lease.verify()
    assert holder(redis) == {"attempt": 1, "worker": "w1"}


def test_a_redis_that_went_away_with_the_job_handed_out_is_waited_for(mortal_valkey: Valkey) -> None:
    lease = Lease(connection.brisk(mortal_valkey.url), job_id="gen_1", attempt=1, worker="w1", seconds=10.0)
    mortal_valkey.kill()
    back = threading.Timer(0.5, mortal_valkey.start)
    back.start()
    lease.take()
    back.join()
    lease.verify()
    assert holder(connection.brisk(mortal_valkey.url)) == {"attempt": 1, "worker": "w1"}


def test_a_redis_that_stays_away_is_given_up(mortal_valkey: Valkey) -> None:
    lease = Lease(connection.brisk(mortal_valkey.url), job_id="gen_1", attempt=1, worker="w1", seconds=0.5)
    mortal_valkey.kill()
    with pytest.raises(RedisConnectionError):
        lease.take()


def test_redis_restarts_while_the_worker_keeps_trying(mortal_valkey: Valkey, clock: Clock) -> None:
    redis = connection.brisk(mortal_valkey.url)
    lease = make(redis, clock)
    lease.take()
    mortal_valkey.kill()
    for _ in range(12):  # longer than the lease, but never a pause
        clock.now += 1
        lease.verify()
    mortal_valkey.start()
    redis.delete(lease_key("gen_1"))
    clock.now += 1
    lease.verify()
    assert holder(redis) == {"attempt": 1, "worker": "w1"}


def test_a_stalled_attempt_lets_its_lease_expire(redis: Redis, clock: Clock) -> None:
    lease = make(redis, clock)
    lease.take()
    attempt = Attempt("generate", lease=lease, events=Events(redis, "gen_1"), stage_timeout_seconds=60.0, clock=clock)
    for _ in range(20):
        clock.now += 5
        attempt.step(1, 9)
        attempt.beat()
    redis.pexpire(lease_key("gen_1"), 5000)
    for _ in range(13):
        clock.now += 5
        attempt.beat()
    assert redis.pttl(lease_key("gen_1")) <= 10_000  # type: ignore[operator]
    redis.pexpire(lease_key("gen_1"), 4000)
    clock.now += 5
    attempt.beat()
    assert redis.pttl(lease_key("gen_1")) <= 4000, "a stalled attempt must not renew"  # type: ignore[operator]
    with pytest.raises(LeaseLost, match="no step in stage 'start'"):
        attempt.step(2, 9)


def test_cancelling_ends_the_next_step(redis: Redis, clock: Clock) -> None:
    lease = make(redis, clock)
    lease.take()
    attempt = Attempt("generate", lease=lease, events=Events(redis, "gen_1"), stage_timeout_seconds=60.0, clock=clock)
    with attempt.stage("denoise"):
        attempt.step(1, 9)
        clock.now += 2
    assert attempt.stage_seconds == {"denoise": 2.0}
    attempt.cancel()
    with pytest.raises(Cancelled, match="denoise"):
        attempt.step(2, 9)
