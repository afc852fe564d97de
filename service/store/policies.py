"""Statements on `policy_versions`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.models import PolicyVersion


def in_force(session: Session) -> Sequence[PolicyVersion]:
    """By name."""
    return session.scalars(select(PolicyVersion).where(PolicyVersion.ended_at.is_(None)).order_by(PolicyVersion.name)).all()


def get(session: Session, name: str, version: int | None = None) -> PolicyVersion | None:
    """A version, ended or not; without a number the one in force."""
    wanted = PolicyVersion.ended_at.is_(None) if version is None else PolicyVersion.version == version
    return session.scalar(select(PolicyVersion).where(PolicyVersion.name == name, wanted))


def put(session: Session, *, name: str, rules: dict[str, Any], created_by: str) -> PolicyVersion:
    """The next version, in force from the commit on. Numbers go on after a policy was ended."""
    before = get(session, name)
    if before is not None:
        end(session, before)
    newest = session.scalar(select(func.max(PolicyVersion.version)).where(PolicyVersion.name == name)) or 0
    row = PolicyVersion(name=name, version=newest + 1, rules=rules, created_by=created_by, created_at=datetime.now(UTC))
    session.add(row)
    session.flush()
    return row


def end(session: Session, row: PolicyVersion) -> None:
    row.ended_at = datetime.now(UTC)
    session.flush()
