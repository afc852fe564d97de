"""Statements on the line: jobs that are queued and not yet let into the window (`service.window`).

Which keys wait is found by jumping from key to key in the partial index `ix_jobs_waiting`, and what is in flight is never much:
the cost is that of the keys that wait, not of their jobs. The conditions are constants in the statements, because neither
SQLite nor a prepared statement of PostgreSQL uses a partial index for a condition that is a parameter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast, get_args

from sqlalchemy import CursorResult, func, literal_column, select, text, update
from sqlalchemy.orm import Session

from service.store.columns import UtcDateTime
from service.store.models import RUNG, WAITING, ApiKey, Job
from service.turns import Line
from workers.contract import WorkerKind

_KINDS: tuple[WorkerKind, ...] = get_args(WorkerKind)
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


def rung(session: Session, kind: WorkerKind) -> int:
    """How many were let in and are not known to have been taken: what fills the window."""
    return session.scalar(select(func.count()).select_from(Job).where(Job.kind == kind, text(RUNG))) or 0


def queued(session: Session, *, key_id: str | None = None, most: int) -> int:
    """How many are queued, let in or not, of one key or of all. Counts no further than `most`."""
    of_key = () if key_id is None else (Job.key_id == key_id, Job.kind.in_(_KINDS))
    counted = (
        select(func.count()).select_from(select(Job.kind).where(text(where), *of_key).limit(most).subquery())
        for where in (WAITING, RUNG)
    )
    return min(most, sum(session.scalar(statement) or 0 for statement in counted))


def lines(session: Session, kind: WorkerKind) -> list[Line]:
    """One per key that waits."""
    in_flight = _in_flight(session)
    found = []
    for key_id, priority, served_at, max_running, max_trainings, oldest in session.execute(_LINES, {"kind": kind}):
        generations, trainings = in_flight[key_id, "generate"], in_flight[key_id, "train"]
        allowed = [] if max_running is None else [max_running - generations - trainings]
        if kind == "train" and max_trainings is not None:
            allowed.append(max_trainings - trainings)
        have = in_flight[key_id, kind]
        found.append(Line(key_id, priority, in_flight=have, more=min(allowed, default=None), served_at=served_at, oldest=oldest))
    return found


def oldest(session: Session, kind: WorkerKind, key_id: str) -> Job | None:
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


def rung_attempts(session: Session) -> Sequence[tuple[str, int]]:
    """(id, attempt) of what must be in Redis, or with a worker."""
    statement = select(Job.id, Job.attempt).where(text(RUNG)).order_by(Job.id)
    return [(job_id, attempt) for job_id, attempt in session.execute(statement)]


def _in_flight(session: Session) -> Counter[tuple[str, WorkerKind]]:
    """How many jobs each key has rung for or running, by kind."""
    counted: Counter[tuple[str, WorkerKind]] = Counter()
    for condition in (text(RUNG), Job.status == literal_column("'running'")):
        statement = select(Job.key_id, Job.kind, func.count()).where(condition).group_by(Job.key_id, Job.kind)
        for key_id, kind, count in session.execute(statement):
            counted[key_id, kind] += count
    return counted
