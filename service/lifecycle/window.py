"""The window: the few jobs that workers may take now. Everything else that is queued waits in SQL.

RQ hands jobs out in the order in which it got them, so what is in Redis cannot be put in another order any more. Only
so many are rung for at a time, and the next is chosen when there is room: `service.domain.turns` says whose it is. What a
worker is known to have taken is no longer in the window.

There is room when a job is accepted, taken, settled, withdrawn or given to its next attempt; whoever commits that calls `fill`
afterwards. Between the commit and the call a gateway may be killed: the sweep fills too. One gateway at a time lets jobs
in, so no two find the same room.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from service.domain.turns import first
from service.lifecycle.queue import JobQueue
from service.lifecycle.ring import ring
from service.logs import about
from service.store import clock, line
from service.store.database import Database
from service.store.models import Job
from workers.contract import JobKind

logger = logging.getLogger(__name__)


class Window:
    def __init__(self, database: Database, queue: JobQueue, *, sizes: Mapping[JobKind, int]) -> None:
        self._database = database
        self._queue = queue
        self._sizes = sizes

    def fill(self) -> None:
        """Let in those whose turn it is, while there is room, and ring for them. Of all kinds, because a key that may have so
        many jobs at once may have a training when a generation has ended. Never raises for a part that is away: what
        was committed before the call stays so, and the sweep comes back to it."""
        try:
            admitted = self._admitted()
        except SQLAlchemyError as error:
            logger.warning("the window waits for the sweep, the database does not answer: %s", error)
            return
        for job in admitted:
            try:
                ring(self._queue, job)
            except ValidationError as error:  # the sweep finds that it is not in line, and fails it
                logger.error("cannot be rung for: %d fields are wrong", error.error_count(), extra=about(job))

    def _admitted(self) -> list[Job]:
        with self._database.read() as session:  # most often it is full, or nobody may come in; then nothing is written
            kinds = [kind for kind in self._sizes if self._room(session, kind) > 0 and first(line.lines(session, kind))]
        if not kinds:
            return []
        with self._database.admission() as session:
            return [job for kind in kinds for job in self._let_in(session, kind)]

    def _room(self, session: Session, kind: JobKind) -> int:
        return self._sizes[kind] - line.rung(session, kind)

    def _let_in(self, session: Session, kind: JobKind) -> list[Job]:
        admitted: list[Job] = []
        room = self._room(session, kind)
        waiting = {found.key_id: found for found in line.lines(session, kind)} if room > 0 else {}
        while len(admitted) < room and (turn := first(waiting.values())):
            job = line.oldest(session, kind, turn.key_id)
            if job is None:
                del waiting[turn.key_id]
                continue
            now = clock.now(session)
            if line.admit(session, job, at=now):
                admitted.append(job)
                waiting[turn.key_id] = turn.served(now)
        return admitted
