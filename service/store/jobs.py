"""Statements on `jobs`.

Every move is one conditional UPDATE on (id, attempt, status) and says whether it happened. Two gateways that decide the
same thing at once, or a decision that comes late, therefore change nothing twice: the attempt number is the fence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Select, delete, func, literal_column, select, text, union_all, update
from sqlalchemy.orm import Session

from service.domain.states import TERMINAL, JobStatus, check_job_move
from service.store import clock, webhooks
from service.store.identifiers import Prefix, bounds
from service.store.models import CANCELED, DELETED, Job
from workers.contract import JOB_KINDS, JobKind

_PREFIXES: Mapping[JobKind, Prefix] = {"generate": "gen", "train": "train", "evaluate": "eval"}


def insert(
    session: Session,
    *,
    job_id: str,
    kind: JobKind,
    model: str,
    key_id: str,
    plan: dict[str, Any],
    labels: dict[str, Any],
    webhook_url: str | None = None,
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
        webhook_url=webhook_url,
        created_at=datetime.now(UTC),
    )
    session.add(job)
    session.flush()
    return job


def get(session: Session, job_id: str, *, kind: JobKind | None = None) -> Job | None:
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
    kind: JobKind,
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


def count_unfinished(session: Session) -> dict[tuple[JobKind, JobStatus], int]:
    """By kind and status, out of an index. What has ended may be millions, and is not counted."""
    counts: list[Select[*tuple[Any, ...]]] = [
        select(literal_column(f"'{kind}'"), Job.status, func.count())
        .where(Job.status.in_(("queued", "running")), *_of_kind(kind))
        .group_by(Job.status)
        for kind in JOB_KINDS
    ]
    return {(kind, status): count for kind, status, count in session.execute(union_all(*counts))}


def oldest_queued(session: Session, kind: JobKind) -> datetime | None:
    """When the longest waiting job was accepted."""
    statement = select(Job.created_at).where(Job.status == "queued", *_of_kind(kind)).order_by(Job.id).limit(1)
    return session.scalar(statement)


def in_status(session: Session, status: JobStatus) -> Sequence[Job]:
    return session.scalars(_alive().where(Job.status == status).order_by(Job.id)).all()


def canceled_lately(session: Session, *, within: timedelta) -> Sequence[Job]:
    return session.scalars(_alive().where(text(CANCELED), Job.finished_at > clock.now(session) - within)).all()


def deleted(session: Session) -> Sequence[Job]:
    return session.scalars(select(Job).where(text(DELETED))).all()


def start(session: Session, job: Job, *, at: datetime) -> bool:
    return _move(session, job, "running", started_at=at)


def start_earlier(session: Session, job: Job, *, at: datetime) -> None:
    """Correct `started_at` of a running attempt that was noticed only after it began at `at`."""
    if job.status != "running" or job.started_at is None or job.started_at <= at:
        return
    where = (Job.id == job.id, Job.attempt == job.attempt, Job.status == "running", Job.started_at > at)
    session.execute(update(Job).where(*where).values(started_at=at))
    job.started_at = at


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
    """Deleted for clients: the words of the request go at once, the row when no worker holds the job any more. Nobody is told."""
    webhooks.drop(session, job.id)
    values = {"deleted_at": datetime.now(UTC), "labels": {}, "plan": {}, "result": None, "webhook_url": None}
    session.execute(update(Job).where(Job.id == job.id).values(**values))


def purge(session: Session, job: Job) -> None:
    session.execute(delete(Job).where(Job.id == job.id, Job.deleted_at.is_not(None)))


def _of_kind(kind: JobKind) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """By the id, which `ix_jobs_status` has; by the column `kind` every row would be read."""
    after, before = bounds(_PREFIXES[kind])
    return Job.id > after, Job.id < before


def _alive() -> Select[Job]:
    return select(Job).where(Job.deleted_at.is_(None))


def _move(session: Session, job: Job, target: JobStatus, **values: Any) -> bool:
    """UPDATE … WHERE id, attempt and status are still what the caller saw. On success the caller's `job` follows, and its
    webhook is due where this is its end."""
    check_job_move(job.status, target)
    where = (Job.id == job.id, Job.attempt == job.attempt, Job.status == job.status, Job.deleted_at.is_(None))
    moved = cast(CursorResult[Any], session.execute(update(Job).where(*where).values(status=target, **values))).rowcount == 1
    if moved:
        for name, value in {"status": target, **values}.items():
            setattr(job, name, value)
        if target in TERMINAL and job.webhook_url is not None:
            webhooks.put(session, job)
    return moved
