"""Statements on `api_keys`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from service.domain.turns import Priority
from service.domain.webhook_signature import new_secret
from service.store.models import ApiKey

LimitName = Literal["requests_per_minute", "max_running", "max_queued", "max_trainings"]
"""Columns of `api_keys`; None is no limit."""

_NO_LIMITS: Mapping[LimitName, int | None] = {}


def insert(
    session: Session,
    *,
    key_id: str,
    name: str,
    role: str,
    secret_sha256: str,
    expires_at: datetime | None = None,
    priority: Priority = "normal",
    limits: Mapping[LimitName, int | None] = _NO_LIMITS,
) -> ApiKey:
    key = ApiKey(
        id=key_id,
        name=name,
        role=role,
        secret_sha256=secret_sha256,
        created_at=datetime.now(UTC),
        revoked_at=None,
        expires_at=expires_at,
        priority=priority,
    )
    for limit, most in limits.items():
        setattr(key, limit, most)
    session.add(key)
    session.flush()
    return key


def get(session: Session, key_id: str) -> ApiKey | None:
    """Also one that is not valid any more."""
    return session.get(ApiKey, key_id)


def lock(session: Session, key_id: str) -> ApiKey:
    """A key that exists, as it is now; nobody else changes it until this transaction ends. Jobs may be inserted for it."""
    statement = select(ApiKey).where(ApiKey.id == key_id).with_for_update(key_share=True)
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def find_valid(session: Session, key_id: str) -> ApiKey | None:
    """Unless it was revoked. It may have expired, which can be changed."""
    return session.scalar(select(ApiKey).where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None)))


def list_valid(session: Session) -> Sequence[ApiKey]:
    return session.scalars(select(ApiKey).where(ApiKey.revoked_at.is_(None)).order_by(ApiKey.created_at, ApiKey.id)).all()


def count_lasting_operators(session: Session) -> int:
    """Operators' keys that open until somebody revokes them. One that expires does not keep a service governed."""
    where = (ApiKey.role == "operator", ApiKey.revoked_at.is_(None), ApiKey.expires_at.is_(None))
    return session.scalar(select(func.count()).select_from(ApiKey).where(*where)) or 0


def revoke(session: Session, key: ApiKey) -> None:
    session.add(key)
    key.revoked_at = datetime.now(UTC)


def rotate(session: Session, key: ApiKey, *, secret_sha256: str, previous_until: datetime) -> None:
    """Another secret from now on; of former ones only the last is valid, until the moment given."""
    session.add(key)
    key.previous_sha256, key.previous_until = key.secret_sha256, previous_until
    key.secret_sha256 = secret_sha256


def webhook_secret(session: Session, key_id: str) -> str:
    """What deliveries of the key's jobs are signed with; made here when nobody has asked before."""
    missing = (ApiKey.id == key_id, ApiKey.webhook_secret.is_(None))
    session.execute(update(ApiKey).where(*missing).values(webhook_secret=new_secret()))
    return str(session.scalars(select(ApiKey.webhook_secret).where(ApiKey.id == key_id)).one())


def rotate_webhook_secret(session: Session, key_id: str) -> str:
    secret = new_secret()
    session.execute(update(ApiKey).where(ApiKey.id == key_id).values(webhook_secret=secret))
    return secret


def used(session: Session, key_id: str, *, at: datetime, noted_before: datetime) -> None:
    """Nothing where another gateway has noted it since."""
    long_ago = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < noted_before, ApiKey.last_used_at > at)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, long_ago).values(last_used_at=at))
