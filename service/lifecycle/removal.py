"""Removing deleted jobs: their records in the store and their rows go as soon as no worker can write to them any more."""

from __future__ import annotations

import logging

from service.lifecycle.flight import Flight
from service.lifecycle.queue import JobQueue, QueueUnavailable
from service.lifecycle.ring import silence
from service.logs import about
from service.store import jobs
from service.store.database import Database
from service.store.models import Job
from workers.contract import job_prefix
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
