"""The migrations make exactly the tables that the models describe, and take them away again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service.store import line
from service.store.database import Database
from service.store.models import ApiKey, Base


@pytest.fixture
def database(empty_url: str) -> Iterator[Database]:
    opened = Database(empty_url)
    yield opened
    opened.close()


def tables(database: Database) -> set[str]:
    return set(inspect(database.engine).get_table_names()) - {"alembic_version"}


@pytest.mark.both_databases
def test_up_and_down_and_up(database: Database) -> None:
    database.migrate()
    assert tables(database) == set(Base.metadata.tables)
    database.migrate("base")
    assert tables(database) == set()
    database.migrate()
    database.migrate()  # again changes nothing
    assert tables(database) == set(Base.metadata.tables)


def test_what_was_queued_before_there_was_a_window_counts_as_rung_for(database: Database) -> None:
    """It is in Redis already; waiting for a turn as well, it would be let in beside itself."""
    database.migrate("0004")
    with database.write() as session:
        session.execute(text("INSERT INTO api_keys VALUES ('k', 'k', 'user', '0', '2026-01-01', NULL)"))
        for status in ("queued", "running", "succeeded"):
            session.execute(
                text(
                    "INSERT INTO jobs (id, kind, status, attempt, model, key_id, plan, labels, created_at)"
                    " VALUES (:status, 'generate', :status, 1, 'toy', 'k', '{}', '{}', '2026-01-01 00:00:00')"
                ),
                {"status": status},
            )
    database.migrate()
    with database.read() as session:
        assert line.rung_attempts(session) == [("queued", 1)]
        assert line.lines(session, "generate") == []
        key = session.get_one(ApiKey, "k")
        assert (key.priority, key.max_queued, key.expires_at) == ("normal", None, None)
    database.migrate("0004")
    with database.read() as session:
        assert session.execute(text("SELECT * FROM api_keys")).one()[:3] == ("k", "k", "user")


@pytest.mark.both_databases
def test_migrations_and_models_agree(database: Database) -> None:
    database.migrate()
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []
        catalogue = {
            "sqlite": "SELECT sql FROM sqlite_master WHERE name = 'uq_eraser_versions_active'",
            "postgresql": "SELECT indexdef FROM pg_indexes WHERE indexname = 'uq_eraser_versions_active'",
        }
        definition = connection.execute(text(catalogue[connection.dialect.name])).scalar_one()
    assert re.search(r"CREATE UNIQUE INDEX .* WHERE .*status.* = 'active'", definition, re.DOTALL)


@pytest.mark.both_databases
def test_gateways_that_start_together_migrate_once(database: Database) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: database.migrate(), range(4)))
    assert tables(database) == set(Base.metadata.tables)


def test_sqlite_is_durable_and_does_not_block_readers(database: Database) -> None:
    database.migrate()
    with database.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2 is FULL
    with database.write() as writer:
        writer.execute(text("INSERT INTO leases VALUES ('a', 'b', '2026-01-01')"))
        with database.read() as reader:
            assert reader.execute(text("SELECT count(*) FROM leases")).scalar() == 0
