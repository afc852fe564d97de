"""The sweep: SQL against Redis against the store, for what no event told.

    running, held by a worker          it goes on (and is settled if its end is already in the store)
    running or queued, end in store    settled
    let in, and the queue forgot it    rung for again, same attempt
    room in the window                 filled
    taken, but nobody holds it         after `lost_after_seconds`: the next attempt, or `worker_lost` after the last
    canceled, but still held           told to stop again
    deleted, and nobody holds it       its artifacts and its row go
    deleted eraser version             its artifact goes when no other version has it
    an idempotency key, long used      forgotten

A lease is always looked at before the store: a worker writes its record before it lets go, so "not held, no record" means
lost. Every move is fenced in SQL; sweeping twice at once would be wasteful, not wrong.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from pydantic import ValidationError

from service.lifecycle.flight import Flight, Holder
from service.lifecycle.queue import JobQueue, QueueUnavailable
from service.lifecycle.removal import Remover
from service.lifecycle.ring import ring, silence
from service.lifecycle.settle import Settler
from service.lifecycle.window import Window
from service.logs import about
from service.store import erasers, idempotency, jobs, line
from service.store.database import Database
from service.store.models import Job
from workers.contract import MAX_ATTEMPTS, WORKER_KINDS, rq_job_id
from workers.store.artifacts import ArtifactError

logger = logging.getLogger(__name__)

_STOP_AGAIN_WITHIN = timedelta(hours=1)
_MAX_MISSING = 500
"""Jobs that Redis lost looked at in one pass, oldest first: a pass stays short, however large the window."""
_ONE_JOBS_TROUBLE = (ArtifactError, ValidationError)
"""What keeps one job from being swept, and must not keep the others."""


class Sweep:
    def __init__(
        self,
        database: Database,
        queue: JobQueue,
        window: Window,
        flight: Flight,
        settler: Settler,
        remover: Remover,
        *,
        lost_after_seconds: float,
        idempotency_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._queue = queue
        self._window = window
        self._flight = flight
        self._settler = settler
        self._remover = remover
        self._lost_after_seconds = lost_after_seconds
        self._idempotency = timedelta(seconds=idempotency_seconds)
        self._clock = clock
        self._unheld_since: dict[str, float] = {}  # by name of attempt; forgetting it only delays a decision

    def run(self) -> None:
        """One pass. Without Redis only the store is looked at, since nothing else can be known."""
        with self._database.write() as session:
            idempotency.purge(session, older_than=self._idempotency)
        with self._database.read() as session:
            running = jobs.in_status(session, "running")
        try:
            suspects = [*running, *self._not_in_queue()]
            self._check(suspects)
            self._window.fill()
            self._stop_canceled()
            self._remove_deleted()
        except QueueUnavailable as error:
            logger.warning("sweep without Redis: %s", error)
            for job in running:
                self._settler.settle(job)

    def observe(self, job: Job, *, polled: bool = False) -> Job:
        """One unfinished job as it is now: is it running, has it ended? Asks Redis and the store, if they answer; SQL alone
        knows what was accepted, and a client is told that much also when they do not. Does not ask for one that waits for its
        turn, whose present attempt nobody has heard of. `polled` as in `Settler.settle`."""
        if job.status == "queued" and job.admitted_at is None:
            return job
        try:
            holder = self._flight.holders([job.id])[0]
        except QueueUnavailable:
            holder = None
        self._started(job, holder)
        try:
            self._settler.settle(job, polled=polled)
        except _ONE_JOBS_TROUBLE as error:
            logger.warning("the store does not say whether it has ended: %s", error, extra=about(job))
        with self._database.read() as session:
            return jobs.get(session, job.id) or job

    def _not_in_queue(self) -> Sequence[Job]:
        """Let in according to SQL, but not waiting in the queue. What was not let in is not looked for there."""
        with self._database.read() as session:
            rung = line.rung_attempts(session)
            if not rung:
                return []
            waiting = set[str]().union(*(self._queue.waiting(kind) for kind in WORKER_KINDS))
            missing = [job_id for job_id, attempt in rung if rq_job_id(job_id, attempt) not in waiting]
            return [job for job in jobs.get_many(session, missing[:_MAX_MISSING]) if job.status == "queued"]

    def _check(self, suspects: Sequence[Job]) -> None:
        unheld: set[str] = set()
        seen_at = self._clock()  # before Redis is asked: were this gateway paused now, what it heard would only look older
        for job, holder in zip(suspects, self._flight.holders([job.id for job in suspects]), strict=True):
            try:
                if not self._accounted_for(job, holder):
                    unheld.add(rq_job_id(job.id, job.attempt))
                    self._unheld(job, seen_at)
            except _ONE_JOBS_TROUBLE as error:
                logger.error("cannot be swept now: %s", error, extra=about(job))
        self._unheld_since = {name: since for name, since in self._unheld_since.items() if name in unheld}

    def _accounted_for(self, job: Job, holder: Holder | None) -> bool:
        """Ended, held, or in line again: nothing is the matter with the present attempt."""
        held = self._started(job, holder)
        if self._settler.settle(job) or held:
            return True
        forgotten = job.status == "queued" and self._queue.status(rq_job_id(job.id, job.attempt)) is None
        if forgotten:
            self._ring_again(job)
        return forgotten

    def _ring_again(self, job: Job) -> None:
        try:
            if ring(self._queue, job):
                logger.info("the queue forgot it, rung for again", extra=about(job))
        except ValidationError as error:  # it would stay in the window for ever
            logger.error("no task that workers take: %d fields are wrong", error.error_count(), extra=about(job))
            self._settler.fail(job, code="internal_error", message="what was accepted is no task that workers take")

    def _unheld(self, job: Job, seen_at: float) -> None:
        if seen_at - self._unheld_since.setdefault(rq_job_id(job.id, job.attempt), seen_at) >= self._lost_after_seconds:
            self._lost(job)

    def _started(self, job: Job, holder: Holder | None) -> bool:
        """Whether a worker holds the present attempt. A queued job that is held is running."""
        if holder is None or holder.attempt != job.attempt:
            return False
        if job.status == "queued":
            with self._database.write() as session:
                started = jobs.start(session, job, at=datetime.now(UTC))
            if started:
                self._window.fill()
        return True

    def _lost(self, job: Job) -> None:
        if not self._flight.give_up(job.id, attempt=job.attempt):
            return  # its worker came back this very moment
        logger.warning("its worker is gone", extra=about(job))
        self._queue.remove(rq_job_id(job.id, job.attempt))
        if job.attempt >= MAX_ATTEMPTS:
            message = f"{MAX_ATTEMPTS} workers in turn were lost while they ran it"
            self._settler.fail(job, code="worker_lost", message=message)
            return
        with self._database.write() as session:
            seen_running = job.status == "running" or jobs.start(session, job, at=datetime.now(UTC))
            again = seen_running and jobs.requeue(session, job)
        if again:
            self._window.fill()

    def _stop_canceled(self) -> None:
        with self._database.read() as session:
            canceled = jobs.canceled_lately(session, within=_STOP_AGAIN_WITHIN)
        for job, holder in zip(canceled, self._flight.holders([job.id for job in canceled]), strict=True):
            if holder is not None:
                silence(self._queue, job, worker=holder.worker)

    def _remove_deleted(self) -> None:
        with self._database.read() as session:
            deleted = jobs.deleted(session)
            versions = erasers.deleted_with_artifact(session)
        for job in deleted:
            self._remover.remove(job)
        for version in versions:
            self._remover.remove_artifact(version)
