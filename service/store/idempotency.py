"""Statements on `idempotency_keys`."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from service.store import clock
from service.store.conflicts import insert_if_absent
from service.store.models import IdempotencyKey


def insert(session: Session, *, key_id: str, key: str, request_sha256: str, job_id: str) -> bool:
    """False where the key is taken. PostgreSQL waits for a transaction that is about to take it."""
    values = {"key_id": key_id, "key": key, "request_sha256": request_sha256, "job_id": job_id, "created_at": clock.now(session)}
    return insert_if_absent(session, IdempotencyKey, values)


def get(session: Session, *, key_id: str, key: str) -> IdempotencyKey | None:
    return session.scalar(select(IdempotencyKey).where(IdempotencyKey.key_id == key_id, IdempotencyKey.key == key))


def forget_request(session: Session, job_id: str) -> None:
    """That the key was used stays; what for goes."""
    session.execute(update(IdempotencyKey).where(IdempotencyKey.job_id == job_id).values(request_sha256=None))


def purge(session: Session, *, older_than: timedelta) -> None:
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock.now(session) - older_than))
