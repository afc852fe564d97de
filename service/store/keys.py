"""Statements on `api_keys`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from service.store.models import ApiKey


def insert(session: Session, *, key_id: str, name: str, role: str, secret_sha256: str) -> ApiKey:
    key = ApiKey(id=key_id, name=name, role=role, secret_sha256=secret_sha256, created_at=datetime.now(UTC), revoked_at=None)
    session.add(key)
    session.flush()
    return key


def find_valid(session: Session, key_id: str) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)))


def list_valid(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.created_at, ApiKey.id)).all()


def count_operators(session: Session) -> int:
    statement = select(func.count()).select_from(ApiKey).where(ApiKey.role == "operator", ApiKey.revoked_at.is_(None))
    return session.scalar(statement) or 0


def revoke(session: Session, key: ApiKey) -> None:
    session.add(key)
    key.revoked_at = datetime.now(UTC)
