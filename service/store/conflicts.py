"""Rows that exist already, told apart from every other violation of a constraint."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session


def insert_if_absent(session: Session, table: type[DeclarativeBase], values: dict[str, Any]) -> bool:
    """Insert a row unless one with its primary key exists. Returns whether it was inserted."""
    key = table.__mapper__.primary_key
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values).on_conflict_do_nothing(index_elements=[column.name for column in key])
    return session.execute(statement.returning(*key)).first() is not None


def is_duplicate(error: IntegrityError, *, constraint: str, columns: str) -> bool:
    """Whether the error says that the unique constraint is violated. SQLite names its `columns` instead: `table.a, table.b`."""
    diagnosis = getattr(error.orig, "diag", None)
    if diagnosis is not None:
        return bool(diagnosis.constraint_name == constraint)
    return str(error.orig) == f"UNIQUE constraint failed: {columns}"
