"""Nothing accepted is lost: Redis wiped or away, workers lost, gateways restarted, hints missing. Attempts fence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from redis import Redis

from service.app import create_app
from service.lifecycle.flight import Holder
from service.settings import Settings
from tests.service.calls import generate, settled, train, wait_until
from tests.service.conftest import Valkey, serving
from tests.service.hand import VIDEO, Hand, gateway_of
from workers.attempts.lease import Lease
from workers.contract import GENERATE_QUEUE, GenerationTask, failure_key, receipt_key
from workers.errors import LeaseRefused


def next_task(hand: Hand) -> GenerationTask:
    return GenerationTask.model_validate(wait_until(hand.take))


@pytest.mark.both_databases
def test_a_wiped_redis_forgets_nothing_that_was_accepted(client: TestClient, hand: Hand, redis: Redis) -> None:
    accepted = [generate(client)["id"] for _ in range(3)]
    train(client)
    redis.flushall()
    tasks = [next_task(hand) for _ in range(3)]
    assert sorted(task.id for task in tasks) == sorted(accepted)
    assert {task.attempt for task in tasks} == {1}
    assert wait_until(lambda: hand.take("train"))


def test_what_a_worker_writes_after_a_wipe_does_not_pass_for_the_job(client: TestClient, hand: Hand, redis: Redis) -> None:
    """It took the job from the line, Redis was wiped, it noted that the job had started, and it died."""
    accepted = generate(client)
    redis.flushall()
    redis.hset(f"rq:job:{accepted['id']}-1", mapping={"status": "started", "worker_name": "one that died"})
    assert next_task(hand).id == accepted["id"]


def test_accepted_while_redis_is_away_and_run_when_it_is_back(client: TestClient, hand: Hand, valkey: Valkey) -> None:
    valkey.stop()
    try:
        accepted = generate(client)
        assert accepted["status"] == "queued"
        assert client.get(accepted["links"]["self"]).json()["status"] == "queued"
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["checks"]["redis"]) == (503, "missing")
    finally:
        valkey.start()
    assert next_task(hand).id == accepted["id"]


def test_the_store_settles_while_redis_is_away(client: TestClient, hand: Hand, valkey: Valkey) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    assert client.get(accepted["links"]["self"]).json()["status"] == "running"
    valkey.stop()
    try:
        hand.store.put(failure_key("generate", task.id, 2), b"of an attempt that never was")
        finish_without_redis(hand, task)
        done = wait_until(lambda: settled(client, accepted["id"]))
        assert done["status"] == "succeeded"
    finally:
        valkey.start()


@pytest.mark.both_databases
def test_an_end_that_nobody_hinted_at_is_found(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    hand.finish(hand.take_generation(), hint=False)
    assert wait_until(lambda: settled(client, accepted["id"]))["status"] == "succeeded"


@pytest.mark.both_databases
def test_a_lost_worker_costs_an_attempt_and_three_cost_the_job(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    for attempt in (1, 2, 3):
        task = next_task(hand)
        assert task.attempt == attempt
        wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "running")
        hand.let_go(task)
    failed = wait_until(lambda: settled(client, accepted["id"]))
    assert (failed["status"], failed["attempt"], failed["error"]["code"]) == ("failed", 3, "worker_lost")
    assert hand.take() is None


def test_a_gateway_that_stood_still_does_not_decide_on_what_it_heard_before(
    settings: Settings, redis: Redis, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(settings.model_copy(update={"sweep_interval_seconds": 3600.0})) as client:
        accepted = generate(client)
        task = hand.take_generation(hold=False)
        sweep = gateway_of(client).sweep
        now = [1000.0]
        monkeypatch.setattr(sweep, "_clock", lambda: now[0])
        sweep.run()  # nobody holds it, from now on
        ask = sweep._flight.holders

        def ask_and_stand_still(job_ids: Sequence[str]) -> list[Holder | None]:
            heard = ask(job_ids)
            now[0] += 60
            hand.hold(task)
            return heard

        monkeypatch.setattr(sweep._flight, "holders", ask_and_stand_still)
        sweep.run()
        monkeypatch.undo()
        body = client.get(accepted["links"]["self"]).json()
        assert (body["status"], body["attempt"]) == ("running", 1), "its worker was back, and lost it all the same"


def test_taken_but_never_held_is_lost_too(client: TestClient, hand: Hand) -> None:
    """The worker died between taking the job and its first sign of life."""
    generate(client)
    assert hand.take_generation(hold=False).attempt == 1
    assert next_task(hand).attempt == 2


def test_a_worker_that_begins_too_late_is_turned_away(client: TestClient, hand: Hand, redis: Redis) -> None:
    """It stood still between taking the job and its first sign of life, and another attempt was made meanwhile."""
    generate(client)
    late = hand.take_generation(hold=False)
    successor = next_task(hand)
    hand.finish(successor)
    lease = Lease(redis, job_id=late.id, attempt=late.attempt, worker="late", seconds=10.0)
    with pytest.raises(LeaseRefused):
        lease.take()


def test_popped_but_never_started_is_lost_too(client: TestClient, hand: Hand, redis: Redis) -> None:
    """It lies in RQ's intermediate queue: not in line, but RQ still calls it queued."""
    generate(client)
    assert redis.lmove(f"rq:queue:{GENERATE_QUEUE}", f"rq:queue:{GENERATE_QUEUE}:intermediate", "LEFT", "RIGHT")
    assert next_task(hand).attempt == 2


def test_a_held_job_is_left_alone(client: TestClient, hand: Hand, settings: Settings) -> None:
    accepted = generate(client)
    hand.take_generation()
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "running")
    gateway_sweeps(client, settings.lost_after_seconds * 3)
    body = client.get(accepted["links"]["self"]).json()
    assert (body["status"], body["attempt"]) == ("running", 1)
    assert hand.take() is None


@pytest.mark.both_databases
def test_a_late_attempt_settles_nothing(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    paused = hand.take_generation(hold=False)
    successor = next_task(hand)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "running")
    hand.finish(paused, worker="the paused one")  # publishes, hints, and even takes the lease away
    hand.hold(successor)
    gateway_sweeps(client, 0.5)
    body = client.get(accepted["links"]["self"]).json()
    assert (body["status"], body["attempt"]) == ("running", 2)
    assert body["receipt"] is None
    hand.finish(successor, worker="the successor")
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert (done["status"], done["attempt"], done["receipt"]["worker"]) == ("succeeded", 2, "the successor")
    hand.fail("generate", successor)  # an end is an end
    hand.hint("generate", paused)
    gateway_sweeps(client, 0.5)
    assert client.get(accepted["links"]["self"]).json() == done


def test_a_wipe_while_a_worker_works_runs_nothing_twice(client: TestClient, hand: Hand, redis: Redis, settings: Settings) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "running")
    redis.flushall()
    hand.hold(task)  # the heartbeat takes the lease again
    gateway_sweeps(client, settings.lost_after_seconds * 2)
    assert hand.take() is None
    hand.finish(task)
    assert wait_until(lambda: settled(client, accepted["id"]))["attempt"] == 1


@pytest.mark.both_databases
def test_a_store_that_is_away_makes_no_lost_worker(client: TestClient, hand: Hand, settings: Settings) -> None:
    """Whether the attempt has ended is not known then, and what is not known is not decided."""
    accepted, deleted = generate(client), generate(client)
    task = hand.take_generation()
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "running")
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, deleted["id"]))
    store = Path(settings.artifacts_url)
    store.rename(store.with_name("away"))
    hand.let_go(task)
    assert client.delete(deleted["links"]["self"]).status_code == 204
    gateway_sweeps(client, settings.lost_after_seconds * 3)
    body = client.get(accepted["links"]["self"]).json()
    assert (body["status"], body["attempt"]) == ("running", 1)
    assert client.get("/health/ready").json()["checks"]["artifacts"] == "missing"
    assert hand.take() is None
    assert not store.exists(), "something was written in the store's place"
    store.with_name("away").rename(store)
    hand.finish(task)
    assert wait_until(lambda: settled(client, accepted["id"]))["status"] == "succeeded"
    wait_until(lambda: not hand.store.list(f"videos/{deleted['id']}"))


@pytest.mark.both_databases
def test_a_restart_finds_everything(settings: Settings, client: TestClient, hand: Hand, user: TestClient) -> None:
    finished, waiting = generate(client, erase=["church"]), generate(user)
    task = hand.take_generation()
    trained = train(client)
    hand.finish_training(hand.take_training())
    wait_until(lambda: client.get(trained["links"]["self"]).json()["status"] == "candidate")
    before = client.get("/erasers").json()
    client.__exit__()
    hand.finish(task)  # while no gateway is up
    with TestClient(create_app(settings), headers=dict(client.headers)) as again:
        assert wait_until(lambda: settled(again, finished["id"]))["status"] == "succeeded"
        assert again.get(f"/generations/{finished['id']}/video").content == VIDEO
        assert again.get(f"/generations/{waiting['id']}").json()["status"] == "queued"
        assert again.get("/erasers").json() == before
        assert hand.take_generation().id == waiting["id"]
        assert TestClient(again.app, headers=dict(user.headers)).get(f"/generations/{waiting['id']}").is_success


@pytest.mark.both_databases
def test_several_gateways_settle_once_and_one_of_them_sweeps(settings: Settings, client: TestClient, hand: Hand) -> None:
    with TestClient(create_app(settings), headers=dict(client.headers)) as second:
        accepted = [generate(one)["id"] for one in (client, second) * 3]
        for _ in accepted:
            hand.finish(next_task(hand), hint=False)
        for generation_id in accepted:
            assert wait_until(lambda id_=generation_id: settled(second, id_))["status"] == "succeeded"
        generate(second)
        hand.take_generation(hold=False)
        assert next_task(hand).attempt == 2  # one sweep, one next attempt
        assert hand.take() is None


def gateway_sweeps(client: TestClient, seconds: float) -> None:
    """Let the sweep go round for a while; there is nothing to wait for where nothing may happen."""
    import time

    time.sleep(seconds)


def finish_without_redis(hand: Hand, task: GenerationTask) -> None:
    from tests.service.hand import receipt_of
    from workers.contract import video_key

    hand.store.put(video_key(task.id, task.attempt), VIDEO)
    hand.store.put(receipt_key(task.id, task.attempt), receipt_of(task).model_dump_json().encode())
