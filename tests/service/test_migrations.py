"""The migrations make exactly the tables that the models describe, and take them away again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from service.store.database import Database
from service.store.models import Base


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
