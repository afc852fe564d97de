"""What stands in a gateway's database while something is measured: so many queued jobs, so many active erasers. Put there by SQL,
because how it got there is not what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import delete, func, insert, select, text

from service.store import line
from service.store.database import Database
from service.store.identifiers import new_id
from service.store.models import EraserVersion, IdempotencyKey, Job
from tests.service.calls import wait_until
from tests.service.hand import digest_of

_TIDY = {"sqlite": "PRAGMA wal_checkpoint(TRUNCATE)", "postgresql": "VACUUM ANALYZE"}


class Standing:
    def __init__(self, database: Database, *, concept: str, window: int) -> None:
        """From what is there now: a job accepted, and a version of the concept, of which the others become copies."""
        self._database = database
        self._window = window
        with database.read() as session:
            self._job = _values(session.scalars(select(Job).order_by(Job.id.desc()).limit(1)).one())
            self._eraser = _values(session.scalars(select(EraserVersion).where(EraserVersion.concept == concept)).one())
        self._job.update(status="queued", attempt=1, admitted_at=None, started_at=None, finished_at=None, result=None)

    def prepare(self, *, queued: int, erasers: int) -> list[str]:
        """The ids of the jobs, oldest first. Returns when the window is full, as far as they fill it."""
        ids = sorted(new_id("gen") for _ in range(queued))
        concepts = [f"concept {number}" for number in range(erasers - 1)]
        copies = [{**self._eraser, "id": new_id("ers"), "concept": name, "digest": digest_of(name)} for name in concepts]
        with self._database.write() as session:
            session.execute(delete(IdempotencyKey))
            session.execute(delete(Job))
            session.execute(delete(EraserVersion).where(EraserVersion.concept != self._eraser["concept"]))
            if queued:
                session.execute(insert(Job), [{**self._job, "id": job_id} for job_id in ids])
            if copies:
                session.execute(insert(EraserVersion), copies)
        self._tidy()
        wait_until(lambda: self._rung() == min(queued, self._window), seconds=30)
        return ids

    def jobs(self) -> int:
        with self._database.read() as session:
            return session.scalar(select(func.count()).select_from(Job)) or 0

    def _rung(self) -> int:
        with self._database.read() as session:
            return line.rung(session, "generate")

    def _tidy(self) -> None:
        """What the database would do in its own time happens now, and not while something is measured."""
        engine = self._database.engine
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(_TIDY[engine.dialect.name]))


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()


def _values(row: Job | EraserVersion) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}
