"""The database: engine, sessions, and migrations at start.

SQLite runs in WAL mode, so readers never wait for the writer. `synchronous=FULL`, because a 202 promises that the job
survives a power cut, and NORMAL may lose the last commits then (measured: it costs one fsync, about a millisecond, a
request). Write sessions begin with BEGIN IMMEDIATE: a transaction that reads and then writes cannot be refused half way
(SQLITE_BUSY_SNAPSHOT); it waits at its start, up to `_WAIT_MS`. Threads of one process wait for each other outside of SQLite,
which sleeps for up to a tenth of a second between two looks at a lock, and lets whoever comes at the right moment go first.

On PostgreSQL nobody waits longer for a lock either, and a gateway that stands still in the middle of a transaction loses it
after `_IDLE_MS`: the others would wait for it for ever. An address may say otherwise, in `options`.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, TextClause, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import TimeoutError as SqlTimeout
from sqlalchemy.orm import Session, sessionmaker

from workers.private_files import close_sqlite_files

_WAIT_MS = 10_000
_IDLE_MS = 60_000
_CONNECT_SECONDS = 5
_EXCLUSIVE = text("SELECT pg_advisory_xact_lock(1668048225)")  # one number for all gateways on a PostgreSQL
_SHARED = text("SELECT pg_advisory_xact_lock_shared(1668048225)")
_ADMISSION = text("SELECT pg_advisory_xact_lock(1668048226)")
_QUEUE = text("SELECT pg_advisory_xact_lock(1668048227)")


class Database:
    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() == "sqlite":
            _close_to_others(parsed)
        self.engine = create_engine(
            parsed,
            pool_size=10,
            max_overflow=20,
            pool_pre_ping=parsed.get_backend_name() != "sqlite",
            hide_parameters=True,  # errors are logged, and parameters are prompts
            connect_args=_postgresql_arguments(parsed) if parsed.get_backend_name() == "postgresql" else {},
        )
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)
        self._writer = threading.Lock()
        one_snapshot = {} if self.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        self._read = sessionmaker(self.engine.execution_options(**one_snapshot), expire_on_commit=False)
        self._write = sessionmaker(self.engine.execution_options(clearway_write=True), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session whose statements all see the same moment, as on SQLite: a version and the job that changes it agree."""
        with self._read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction, durable when the block ends; rolled back when it raises."""
        with self._turn(), self._write.begin() as session:
            yield session

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Of this process's threads one at a time writes to SQLite. See the module."""
        if self.engine.dialect.name != "sqlite":
            yield
            return
        if not self._writer.acquire(timeout=_WAIT_MS / 1000):
            raise SqlTimeout("the database is locked by another thread")
        try:
            yield
        finally:
            self._writer.release()

    def exclusive(self) -> AbstractContextManager[Session]:
        """A write transaction that runs beside no other exclusive one and no shared one, of any gateway."""
        return self._write_under(_EXCLUSIVE)

    def shared(self) -> AbstractContextManager[Session]:
        """A write transaction that runs beside others of its kind: what exclusive ones change stays as it is until the end."""
        return self._write_under(_SHARED)

    def admission(self) -> AbstractContextManager[Session]:
        """A write transaction that runs beside no other of its kind: one gateway at a time lets jobs into the window."""
        return self._write_under(_ADMISSION)

    def lock_queue(self, session: Session) -> None:
        """Until its transaction ends, no other that locks the queue goes on."""
        self._lock(session, _QUEUE)

    @contextmanager
    def _write_under(self, lock: TextClause) -> Iterator[Session]:
        with self.write() as session:
            self._lock(session, lock)
            yield session

    def _lock(self, session: Session, lock: TextClause) -> None:
        """An advisory lock until the transaction ends. SQLite has one writer at a time anyway."""
        if self.engine.dialect.name == "postgresql":
            session.execute(lock)

    def migrate(self, revision: str = "head") -> None:
        """Bring the schema to `revision`, forwards or back: a number, `head`, `base`, or steps such as `-2`.

        Gateways that start together do it one after the other.
        """
        with self.engine.execution_options(clearway_write=True).begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL lock_timeout = 0"))  # a migration may take its time
                connection.execute(_EXCLUSIVE)
            config = _alembic(attributes={"connection": connection})
            if revision == "base" or revision.startswith("-") or revision in _behind(connection, config):
                command.downgrade(config, revision)
            else:
                command.upgrade(config, revision)

    def revision(self) -> str | None:
        """The newest migration that the database has; None before the first."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def ping(self) -> None:
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()


def newest_revision() -> str:
    """The newest migration that there is."""
    return str(ScriptDirectory.from_config(_alembic()).get_current_head())


def _behind(connection: Connection, config: Config) -> set[str]:
    """The migrations that the database has, but for the newest of them."""
    current = MigrationContext.configure(connection).get_current_revision()
    had = ScriptDirectory.from_config(config).iterate_revisions(current, "base") if current else ()
    return {script.revision for script in had} - {str(current)}


def _alembic(**options: Any) -> Config:
    config = Config(**options)
    config.set_main_option("script_location", "service.store:migrations")
    return config


def _close_to_others(url: URL) -> None:
    """The write-ahead log holds secrets as plain as the database does. Raises `NotPrivate`."""
    name = url.database or ""
    if name and not name.startswith((":", "file:")):
        close_sqlite_files(Path(name))


def _postgresql_arguments(url: URL) -> dict[str, Any]:
    options = f"-c lock_timeout={_WAIT_MS} -c idle_in_transaction_session_timeout={_IDLE_MS}"
    arguments = {"connect_timeout": _CONNECT_SECONDS, "options": options}
    return {name: value for name, value in arguments.items() if name not in url.query}


def _configure_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself; `_begin_sqlite` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {_WAIT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("clearway_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
