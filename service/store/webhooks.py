"""Statements on `webhook_deliveries`, the outbox: what clients' servers are still to be told.

A row is written by the UPDATE's own transaction that ends the job (`store.jobs`), so that neither is without the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, case, delete, func, insert, or_, select, text, update
from sqlalchemy.orm import Session

from service.domain.states import TERMINAL
from service.store.models import WEBHOOK_DUE, Job, WebhookDelivery


def put(session: Session, job: Job) -> None:
    """A job that just ended, and whose request names a webhook."""
    session.execute(insert(WebhookDelivery).values(job_id=job.id, attempts=0, due_at=job.finished_at))


def any_due(session: Session, *, at: datetime, longest: timedelta) -> bool:
    found = select(WebhookDelivery.job_id).where(text(WEBHOOK_DUE), _is_due(at, longest)).limit(1)
    return session.scalar(found) is not None


def _is_due(at: datetime, longest: timedelta) -> ColumnElement[bool]:
    """At the time `at`. A first attempt is due at once, and none later than the `longest` pause: otherwise a clock was wrong."""
    return or_(WebhookDelivery.due_at <= at, WebhookDelivery.attempts == 0, WebhookDelivery.due_at > at + longest)


def due(
    session: Session, *, at: datetime, longest: timedelta, limit: int, per_key: int, busy: Mapping[str, int]
) -> Sequence[tuple[Job, WebhookDelivery]]:
    """Messages to send now: the keys take turns, and each key's oldest comes first. A key has at most `per_key`, less the `busy`
    ones that are under way: a thousand that are never answered hold up no message of another key."""
    turn = func.row_number().over(partition_by=Job.key_id, order_by=WebhookDelivery.due_at)
    waiting = (
        select(WebhookDelivery.job_id, Job.key_id, turn.label("turn"))
        .join(Job, Job.id == WebhookDelivery.job_id)
        .where(text(WEBHOOK_DUE), _is_due(at, longest))
        .subquery()
    )
    room: Any = per_key
    if busy:
        room = case({key: per_key - count for key, count in busy.items()}, value=waiting.c.key_id, else_=per_key)
    statement = (
        select(Job, WebhookDelivery)
        .join(WebhookDelivery, WebhookDelivery.job_id == Job.id)
        .join(waiting, waiting.c.job_id == Job.id)
        .where(waiting.c.turn <= room)
        .order_by(waiting.c.turn, WebhookDelivery.due_at)
        .limit(limit)
    )
    return [(job, delivery) for job, delivery in session.execute(statement)]


def claim(session: Session, delivery: WebhookDelivery, *, again_at: datetime) -> bool:
    """Count an attempt. False where another gateway just did."""
    where = (WebhookDelivery.job_id == delivery.job_id, WebhookDelivery.attempts == delivery.attempts, text(WEBHOOK_DUE))
    statement = update(WebhookDelivery).where(*where).values(attempts=WebhookDelivery.attempts + 1, due_at=again_at)
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast(CursorResult[Any], result).rowcount == 1


def note(session: Session, job_id: str, *, attempt: int, error: str | None, at: datetime, again_at: datetime | None) -> None:
    """What came of an attempt, unless another one has begun since. Without `again_at` it was the last."""
    values = {"last_error": error, "due_at": again_at, "delivered_at": at if error is None else None}
    where = (WebhookDelivery.job_id == job_id, WebhookDelivery.attempts == attempt)
    session.execute(update(WebhookDelivery).where(*where).values(**values))


def of_jobs(session: Session, jobs: Iterable[Job]) -> Mapping[str, WebhookDelivery]:
    """By the id of the job. Asks nothing where none of them has ended and has a webhook."""
    ids = [job.id for job in jobs if job.webhook_url is not None and job.status in TERMINAL]
    if not ids:
        return {}
    rows = session.scalars(select(WebhookDelivery).where(WebhookDelivery.job_id.in_(ids)))
    return {row.job_id: row for row in rows}


def count_due(session: Session) -> int:
    """Not delivered, and not given up."""
    return session.scalar(select(func.count()).select_from(WebhookDelivery).where(text(WEBHOOK_DUE))) or 0


def drop(session: Session, job_id: str) -> None:
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.job_id == job_id))
