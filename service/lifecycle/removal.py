"""Removes what clients deleted. The records and the row of a job go as soon as no worker can write to them any more; the artifact
of an eraser version goes as soon as no other version has it."""

from __future__ import annotations

import logging

from service.lifecycle.flight import Flight
from service.lifecycle.queue import JobQueue, QueueUnavailable
from service.lifecycle.ring import silence
from service.logs import about
from service.store import erasers, jobs
from service.store.database import Database
from service.store.models import EraserVersion, Job
from workers.contract import eraser_prefix, job_prefix
from workers.store.artifacts import ArtifactError, ArtifactStore

logger = logging.getLogger(__name__)


class Remover:
    def __init__(self, database: Database, store: ArtifactStore, queue: JobQueue, flight: Flight) -> None:
        self._database = database
        self._store = store
        self._queue = queue
        self._flight = flight

    def remove(self, job: Job) -> bool:
        """Remove a job that is deleted for clients. False while a worker holds it, or Redis cannot say; the sweep tries
        again. A worker that was paused for longer than its lease may leave files behind; nothing points to them."""
        try:
            holder = self._flight.holders([job.id])[0]
        except QueueUnavailable:
            return False
        if holder is not None:
            silence(self._queue, job, worker=holder.worker)
            return False
        try:
            self._store.delete(job_prefix(job.kind, job.id))
        except ArtifactError as error:
            logger.warning("its artifacts cannot be deleted yet: %s", error, extra=about(job))
            return False
        self._flight.forget(job.id)
        with self._database.write() as session:
            jobs.purge(session, job)
        return True

    def remove_artifact(self, row: EraserVersion) -> bool:
        """Remove the artifact of a version that is deleted for clients. False where it cannot be removed yet; the sweep
        tries again.

        The same training on the same encoder makes the same bytes, and so the same digest. Therefore the artifact stays while
        the concept is being trained, and nothing is imported between the look at other versions and the removal."""
        if row.digest is None:
            return True
        with self._database.exclusive() as session:
            if not erasers.artifact_is_used(session, row.digest):
                if erasers.is_trained_now(session, row.concept):
                    return False
                try:
                    self._store.delete(eraser_prefix(row.digest))
                except ArtifactError as error:
                    logger.warning("the artifact %s cannot be removed yet: %s", row.digest, error)
                    return False
            erasers.forget_artifact(session, row)
        return True
