"""Statements on `audit_entries` and `audit_head`. Nothing here changes or removes an entry."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from service.domain.chain import Head
from service.store.models import AuditEntry, AuditHead

_HEAD = select(AuditHead.sequence, AuditHead.sha256)


def head(session: Session) -> Head:
    return Head(*session.execute(_HEAD).one())


def lock_head(session: Session) -> Head:
    """As `head`, and nobody else appends until this transaction ends (SQLite: nobody writes anything)."""
    return Head(*session.execute(_HEAD.with_for_update()).one())


def append(session: Session, entry: AuditEntry) -> None:
    """After `lock_head`, in its transaction."""
    session.add(entry)
    session.flush()
    session.execute(update(AuditHead).values(sequence=entry.sequence, sha256=entry.sha256))


def page(
    session: Session, *, after: int, until: int, limit: int, action: str | None = None, subject: str | None = None
) -> Sequence[AuditEntry]:
    """Entries with numbers greater than `after`, up to `until`, oldest first."""
    statement = select(AuditEntry).where(AuditEntry.sequence > after, AuditEntry.sequence <= until)
    if action is not None:
        statement = statement.where(AuditEntry.action == action)
    if subject is not None:
        statement = statement.where(AuditEntry.subject == subject)
    return session.scalars(statement.order_by(AuditEntry.sequence).limit(limit)).all()
