"""What the gateway may rely on of either database: bounded waits, locks that hold, values that come back as they went in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from service.settings import Settings
from service.store import database as module
from service.store import jobs, keys, line
from service.store.database import Database
from tests.service.conftest import serving
from tests.service.hand import gateway_of
from tests.service.test_errors import check

pytestmark = pytest.mark.both_databases


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        yield opened


def test_a_gateway_that_stands_still_does_not_hold_up_the_others(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction holds every lock there is; who waits is told so in time, and nothing is accepted."""
    monkeypatch.setattr(module, "_WAIT_MS", 300)
    with serving(settings) as client:
        began = time.monotonic()
        with gateway_of(client).database.exclusive() as session:
            session.execute(text("SELECT 1"))
            refused = client.post("/generate", json={"prompt": "a"})
        check(refused, "database_unavailable")
        assert time.monotonic() - began < 5
        assert client.get("/generations").json()["data"] == []
        assert client.post("/generate", json={"prompt": "a"}).status_code == 202


def test_exclusive_waits_for_shared(database: Database) -> None:
    order: list[str] = []

    def change() -> None:
        with database.exclusive() as session:
            session.execute(text("SELECT 1"))
            order.append("exclusive")

    with ThreadPoolExecutor(1) as pool:
        with database.shared() as session:
            session.execute(text("SELECT 1"))  # SQLite begins with the first statement
            waiting = pool.submit(change)
            time.sleep(0.2)
            order.append("shared")
        waiting.result(5)
    assert order == ["shared", "exclusive"]


def test_an_address_may_say_how_long_to_wait(database_url: str) -> None:
    if not database_url.startswith("postgresql"):
        return
    with closing(Database(f"{database_url}&options=-c%20lock_timeout%3D1234")) as opened, opened.read() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "1234ms"
    with closing(Database(database_url)) as opened, opened.read() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "10s"


def test_threads_that_write_at_once_do_not_meet_in_sqlite(database: Database) -> None:
    """Where nobody waits for SQLite's own lock, whoever met it would be refused."""
    if database.engine.dialect.name != "sqlite":
        return
    event.listen(database.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout = 0"))
    with database.write() as session:
        keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)

    def accept(number: int) -> None:
        with database.shared() as session:
            jobs.insert(session, job_id=f"gen_{number}", kind="generate", model="toy", key_id="k", plan={}, labels={})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(accept, range(64)))
    with closing(Database(database.engine.url.render_as_string())) as other, other.read() as session:
        assert line.queued(session, most=100) == 64


def test_instants_come_back_in_utc(database: Database) -> None:
    at = datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    with database.write() as session:
        keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)
        made = jobs.insert(session, job_id="gen_1", kind="generate", model="toy", key_id="k", plan={}, labels={})
        made.started_at = at
    with database.read() as session:
        kept = jobs.get(session, "gen_1")
        assert kept is not None
        assert (kept.started_at, kept.started_at and kept.started_at.tzinfo) == (at, UTC)
    with pytest.raises(Exception, match="without zone"), database.write() as session:
        session.merge(made).started_at = datetime(2026, 7, 1)


@pytest.mark.parametrize("value", [{"a": "\0 \ud800 ’ 🪂"}, {"a": 2**200, "b": 1e-300}, {"": [None, True, {"b": []}]}])
def test_json_comes_back_as_it_went_in(database: Database, value: dict[str, Any]) -> None:
    with database.write() as session:
        keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)
        jobs.insert(session, job_id="gen_1", kind="generate", model="toy", key_id="k", plan=value, labels={})
    with database.read() as session:
        kept = jobs.get(session, "gen_1")
        assert kept is not None
        assert kept.plan == value


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def twice() -> None:
        with database.write() as session:
            for _ in range(2):
                keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)

    with pytest.raises(IntegrityError):
        twice()
    with database.read() as session:
        assert keys.find_valid(session, "k") is None
