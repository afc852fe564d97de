"""What a wrong clock wrote is void once the clock is right: a day ahead blocks nothing for a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from service.acceptance.limits import take
from service.domain.turns import first
from service.errors import LimitError
from service.store import clock, jobs, keys, leases, line, webhooks
from service.store.database import Database
from service.store.models import ApiKey, Lease, WebhookDelivery
from tests.service.calls import code, generate
from tests.service.conftest import user_of
from tests.service.hand import gateway_of

DAY = timedelta(days=1)


@pytest.mark.both_databases
def test_the_databases_clock_is_aware_and_about_now(database_url: str) -> None:
    database = Database(database_url)
    with database.read() as session:
        told = clock.now(session)
    assert told.utcoffset() == timedelta()
    assert abs(told - datetime.now(UTC)) < timedelta(seconds=5)
    database.close()


@pytest.mark.both_databases
@pytest.mark.parametrize(("ahead", "taken"), [(DAY, True), (timedelta(seconds=30), False), (-timedelta(seconds=1), True)])
def test_a_lease_longer_than_any_is_void(database_url: str, ahead: timedelta, taken: bool) -> None:
    database = Database(database_url)
    with database.write() as session:
        session.add(Lease(name="sweep", holder="killed", expires_at=datetime.now(UTC) + ahead))
    assert leases.hold(database, "sweep", holder="another", seconds=15) is taken
    database.close()


@pytest.mark.both_databases
def test_no_lease_is_longer_than_the_longest(database_url: str) -> None:
    database = Database(database_url)
    assert leases.hold(database, "sweep", holder="one", seconds=10**6)
    with database.read() as session:
        lease = session.get_one(Lease, "sweep")
        assert lease.expires_at <= clock.now(session) + timedelta(seconds=leases.MAX_SECONDS)
    assert not leases.hold(database, "sweep", holder="another", seconds=1)
    database.close()


def test_a_bucket_that_a_wrong_clock_emptied_is_full() -> None:
    now = datetime.now(UTC)
    assert take(now + DAY, per_minute=2, now=now) == now + timedelta(seconds=30)
    with pytest.raises(LimitError):
        take(now + timedelta(seconds=60), per_minute=2, now=now)


def test_a_key_served_in_the_future_is_not_last_until_then(client: TestClient) -> None:
    gateway = gateway_of(client)
    for _ in range(6):  # fill the window, so that both wait
        generate(client)
    ahead, other = user_of(client), user_of(client)
    generate(ahead)
    generate(other)
    ids = [str(user.headers["authorization"]).split("_")[1] for user in (ahead, other)]
    with gateway.database.write() as session:
        session.execute(update(ApiKey).where(ApiKey.id == ids[0]).values(served_at=datetime.now(UTC) + DAY))
        session.execute(update(ApiKey).where(ApiKey.id == ids[1]).values(served_at=datetime.now(UTC) + DAY / 2))
    with gateway.database.read() as session:
        waiting = [found for found in line.lines(session, "generate") if found.key_id in ids]
    turn = first(waiting)
    assert turn is not None
    assert turn.key_id == ids[0], "both count as served now: the older job goes first"


@pytest.mark.both_databases
@pytest.mark.parametrize(
    ("attempts", "ahead", "due"),
    [(0, DAY, True), (1, DAY, True), (1, timedelta(minutes=30), False), (1, -timedelta(seconds=1), True)],
)
def test_a_delivery_waits_no_longer_than_the_longest_pause(database_url: str, attempts: int, ahead: timedelta, due: bool) -> None:
    database = Database(database_url)
    with database.write() as session:
        keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)
        jobs.insert(session, job_id="gen_1", kind="generate", model="toy", key_id="k", plan={}, labels={})
        session.add(WebhookDelivery(job_id="gen_1", attempts=attempts, due_at=datetime.now(UTC) + ahead))
    with database.read() as session:
        now, longest = clock.now(session), timedelta(hours=1)
        assert webhooks.any_due(session, at=now, longest=longest) is due
        assert bool(webhooks.due(session, at=now, longest=longest, limit=5, per_key=5, busy={})) is due
    database.close()


def test_a_grace_longer_than_any_is_void(client: TestClient) -> None:
    before = client.post("/keys", json={"name": "a"}).json()
    client.post(f"/keys/{before['id']}/rotate", json={"grace_seconds": 60})
    old = TestClient(client.app, headers={"authorization": f"Bearer {before['key']}"})
    assert old.get("/models").is_success
    with gateway_of(client).database.write() as session:
        session.execute(update(ApiKey).where(ApiKey.id == before["id"]).values(previous_until=datetime.now(UTC) + 31 * DAY))
    assert code(old.get("/models")) == "key_expired"
