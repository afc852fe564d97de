"""Statements on `jobs`.

Every move is one conditional UPDATE on (id, attempt, status) and says whether it happened. Two gateways that decide the
same thing at once, or a decision that comes late, therefore change nothing twice: the attempt number is the fence.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, Select, delete, func, select, text, update
from sqlalchemy.orm import Session

from service.states import JobStatus, check_job_move
from service.store.columns import UtcDateTime
from service.store.models import CANCELED, DELETED, Job
from workers.contract import WorkerKind


def insert(
    session: Session, *, job_id: str, kind: WorkerKind, model: str, key_id: str, plan: dict[str, Any], labels: dict[str, Any]
) -> Job:
    job = Job(
        id=job_id,
        kind=kind,
        status="queued",
        attempt=1,
        model=model,
        key_id=key_id,
        plan=plan,
        labels=labels,
        created_at=datetime.now(UTC),
    )
    session.add(job)
    session.flush()
    return job


def get(session: Session, job_id: str, *, kind: WorkerKind | None = None) -> Job | None:
    """The job unless a client deleted it."""
    statement = select(Job).where(Job.id == job_id, Job.deleted_at.is_(None))
    return session.scalar(statement if kind is None else statement.where(Job.kind == kind))


def lock(session: Session, job_id: str) -> Job | None:
    """As `get`, and nobody else changes it until this transaction ends (SQLite: nobody changes anything)."""
    statement = select(Job).where(Job.id == job_id, Job.deleted_at.is_(None)).with_for_update()
    return session.scalar(statement.execution_options(populate_existing=True))


def get_many(session: Session, job_ids: Sequence[str]) -> Sequence[Job]:
    """Those of the jobs that clients have not deleted, by id."""
    return session.scalars(_alive().where(Job.id.in_(job_ids)).order_by(Job.id)).all()


def page(
    session: Session,
    *,
    kind: WorkerKind,
    key_id: str | None,
    status: JobStatus | None = None,
    after: str | None,
    limit: int,
    oldest_first: bool = False,
) -> Sequence[Job]:
    """Newest first, or oldest first; those that follow the id `after` in that order; of one key, or of all."""
    order = Job.id.asc() if oldest_first else Job.id.desc()
    statement = select(Job).where(Job.kind == kind, Job.deleted_at.is_(None)).order_by(order).limit(limit)
    if key_id is not None:
        statement = statement.where(Job.key_id == key_id)
    if status is not None:
        statement = statement.where(Job.status == status)
    if after is not None:
        statement = statement.where(Job.id > after if oldest_first else Job.id < after)
    return session.scalars(statement).all()


def count_before(session: Session, job: Job, *, most: int) -> int:
    """How many of its kind are queued and came earlier. Counts no further than `most`."""
    where = (Job.kind == job.kind, Job.status == "queued", Job.deleted_at.is_(None), Job.id < job.id)
    return session.scalar(select(func.count()).select_from(select(Job.id).where(*where).limit(most).subquery())) or 0


def count_unfinished(session: Session) -> dict[tuple[WorkerKind, JobStatus], int]:
    """By kind and status. What has ended may be millions, and is not counted."""
    where = (Job.status.in_(("queued", "running")), Job.deleted_at.is_(None))
    statement = select(Job.kind, Job.status, func.count()).where(*where).group_by(Job.kind, Job.status)
    return {(kind, status): count for kind, status, count in session.execute(statement)}


def oldest_queued(session: Session) -> dict[WorkerKind, datetime]:
    """When the longest waiting job of each kind was accepted."""
    where = (Job.status == "queued", Job.deleted_at.is_(None))
    statement = select(Job.kind, func.min(Job.created_at, type_=UtcDateTime())).where(*where).group_by(Job.kind)
    return dict(session.execute(statement).all())


def in_status(session: Session, status: JobStatus) -> Sequence[Job]:
    return session.scalars(_alive().where(Job.status == status).order_by(Job.id)).all()


def canceled_lately(session: Session, *, within: timedelta) -> Sequence[Job]:
    return session.scalars(_alive().where(text(CANCELED), Job.finished_at > datetime.now(UTC) - within)).all()


def deleted(session: Session) -> Sequence[Job]:
    return session.scalars(select(Job).where(text(DELETED))).all()


def start(session: Session, job: Job, *, at: datetime) -> bool:
    return _move(session, job, "running", started_at=at)


def succeed(session: Session, job: Job, *, result: dict[str, Any]) -> bool:
    return _move(session, job, "succeeded", result=result, finished_at=datetime.now(UTC))


def fail(session: Session, job: Job, *, code: str, message: str) -> bool:
    return _move(session, job, "failed", error_code=code, error_message=message, finished_at=datetime.now(UTC))


def cancel(session: Session, job: Job) -> bool:
    message = "cancelled on request"
    return _move(session, job, "canceled", error_code="cancelled", error_message=message, finished_at=datetime.now(UTC))


def requeue(session: Session, job: Job) -> bool:
    """Back into the line as the next attempt; whatever the present attempt still writes is ignored from now on."""
    return _move(session, job, "queued", attempt=job.attempt + 1, admitted_at=None, started_at=None)


def hide(session: Session, job: Job) -> None:
    """Deleted for clients: the words of the request go at once, the row when no worker holds the job any more."""
    values = {"deleted_at": datetime.now(UTC), "labels": {}, "plan": {}, "result": None}
    session.execute(update(Job).where(Job.id == job.id).values(**values))


def purge(session: Session, job: Job) -> None:
    session.execute(delete(Job).where(Job.id == job.id, Job.deleted_at.is_not(None)))


def _alive() -> Select[Job]:
    return select(Job).where(Job.deleted_at.is_(None))


def _move(session: Session, job: Job, target: JobStatus, **values: Any) -> bool:
    """UPDATE … WHERE id, attempt and status are still what the caller saw. On success the caller's `job` follows."""
    check_job_move(job.status, target)
    where = (Job.id == job.id, Job.attempt == job.attempt, Job.status == job.status, Job.deleted_at.is_(None))
    moved = cast(CursorResult[Any], session.execute(update(Job).where(*where).values(status=target, **values))).rowcount == 1
    if moved:
        for name, value in {"status": target, **values}.items():
            setattr(job, name, value)
    return moved
