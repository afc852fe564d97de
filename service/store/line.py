"""Statements on the line: jobs that are queued and not yet let into the window (`service.lifecycle.window`).

Which keys wait is found by jumping from key to key in the partial index `ix_jobs_waiting`, and what is in flight is never much:
the cost is that of the keys that wait, not of their jobs. The conditions are constants in the statements, because neither
SQLite nor a prepared statement of PostgreSQL uses a partial index for a condition that is a parameter; and every one asks for
one kind, without which SQLite would rather go through everything that is queued, by `ix_jobs_status`.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import product
from typing import Any, cast

from sqlalchemy import CursorResult, func, select, text, union_all, update
from sqlalchemy.orm import Session

from service.domain.turns import Line
from service.store import clock
from service.store.columns import UtcDateTime
from service.store.models import RUNG, WAITING, ApiKey, Job
from workers.contract import JOB_KINDS, JobKind

_QUEUED = (RUNG, WAITING)
_RUNNING = "status = 'running'"
_NOTHING: Counter[tuple[str, JobKind]] = Counter()

_LINES = text(
    f"""
    WITH RECURSIVE line (key_id) AS (
        SELECT min(key_id) FROM jobs WHERE kind = :kind AND {WAITING}
        UNION ALL
        SELECT (SELECT min(key_id) FROM jobs WHERE kind = :kind AND key_id > line.key_id AND {WAITING})
        FROM line WHERE line.key_id IS NOT NULL
    )
    SELECT api_keys.id, priority, served_at,
           max_running, max_trainings,
           (SELECT min(jobs.id) FROM jobs WHERE kind = :kind AND key_id = api_keys.id AND {WAITING}) AS oldest
    FROM line JOIN api_keys ON api_keys.id = line.key_id
    """  # noqa: S608  constants of this program
).columns(served_at=UtcDateTime())


def rung(session: Session, kind: JobKind) -> int:
    """How many were let in and are not known to have been taken: what fills the window."""
    return session.scalar(select(func.count()).select_from(Job).where(Job.kind == kind, text(RUNG))) or 0


def queued(session: Session, *, key_id: str | None = None, most: int) -> int:
    """How many are queued, let in or not, of one key or of all. Counts no further than `most`."""
    of_key = Job.key_id > "" if key_id is None else Job.key_id == key_id  # of any: SQLite counts by another index otherwise
    found = [select(Job.kind).where(Job.kind == kind, of_key, text(where)) for kind, where in product(JOB_KINDS, _QUEUED)]
    return session.scalar(select(func.count()).select_from(union_all(*found).limit(most).subquery())) or 0


def lines(session: Session, kind: JobKind) -> list[Line]:
    """One per key that waits."""
    waiting = session.execute(_LINES, {"kind": kind}).all()
    in_flight = _in_flight(session) if waiting else _NOTHING
    now = clock.now(session) if waiting else None
    found = []
    for key_id, priority, served_at, max_running, max_trainings, oldest in waiting:
        generations = in_flight[key_id, "generate"]
        trainings = in_flight[key_id, "train"] + in_flight[key_id, "evaluate"]  # both occupy a trainer
        allowed = [] if max_running is None else [max_running - generations - trainings]
        if kind != "generate" and max_trainings is not None:
            allowed.append(max_trainings - trainings)
        if served_at is not None and now is not None:
            served_at = min(served_at, now)  # written when the clock was ahead, it must not put the key last until then
        have = in_flight[key_id, kind]
        found.append(Line(key_id, priority, in_flight=have, more=min(allowed, default=None), served_at=served_at, oldest=oldest))
    return found


def oldest(session: Session, kind: JobKind, key_id: str) -> Job | None:
    where = (Job.kind == kind, Job.key_id == key_id, text(WAITING))
    return session.scalar(select(Job).where(*where).order_by(Job.id).limit(1))


def admit(session: Session, job: Job, *, at: datetime) -> bool:
    """Into the window, unless it left the line meanwhile."""
    where = (Job.id == job.id, Job.attempt == job.attempt, text(WAITING))
    statement = update(Job).where(*where).values(admitted_at=at).execution_options(synchronize_session=False)
    admitted = cast(CursorResult[Any], session.execute(statement)).rowcount == 1
    if admitted:
        served = update(ApiKey).where(ApiKey.id == job.key_id).values(served_at=at)
        session.execute(served.execution_options(synchronize_session=False))
    return admitted


def rung_attempts(session: Session) -> list[tuple[str, int]]:
    """(id, attempt) of what must be in Redis, or with a worker."""
    found = (session.execute(select(Job.id, Job.attempt).where(Job.kind == kind, text(RUNG))) for kind in JOB_KINDS)
    return sorted((job_id, attempt) for rows in found for job_id, attempt in rows)


def _in_flight(session: Session) -> Counter[tuple[str, JobKind]]:
    """How many jobs each key has rung for or running, by kind."""
    counted: Counter[tuple[str, JobKind]] = Counter()
    found = [
        select(Job.key_id, Job.kind, func.count()).where(Job.kind == kind, text(where)).group_by(Job.key_id, Job.kind)
        for kind, where in product(JOB_KINDS, (RUNG, _RUNNING))
    ]
    for key_id, kind, count in session.execute(union_all(*found)):
        counted[key_id, kind] += count
    return counted
