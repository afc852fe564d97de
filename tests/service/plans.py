"""How SQLite goes through the table of jobs for what a call asks; its plans name the indexes, and the sorting that they spare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from service.store.database import Database


def statements(database: Database, call: Callable[[Session], object]) -> list[tuple[str, list[str]]]:
    """Each statement, with the steps of its plan."""
    said: list[tuple[str, Any]] = []
    with database.read() as session:
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: said.append((sql, values)))
        call(session)
        return [
            (sql, [step for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)])
            for sql, values in tuple(said)
        ]
