"""Ringing for a worker: an attempt that SQL already has goes into the queue. A ring that is not heard costs a sweep."""

from __future__ import annotations

import logging

from service.lifecycle.payload import payload
from service.lifecycle.queue import JobQueue, QueueUnavailable
from service.logs import about
from service.store.models import Job
from workers.contract import rq_job_id

logger = logging.getLogger(__name__)


def ring(queue: JobQueue, job: Job) -> bool:
    """Whether the queue took the attempt. It may be called again for the same attempt without harm."""
    try:
        queue.submit(job.kind, rq_job_id(job.id, job.attempt), payload(job))
    except QueueUnavailable as error:
        logger.warning("waits for the sweep, the queue does not answer: %s", error, extra=about(job))
        return False
    return True


def silence(queue: JobQueue, job: Job, *, worker: str | None) -> None:
    """Nobody needs to work on this attempt any more: out of the line, or stopped. Best effort."""
    name = rq_job_id(job.id, job.attempt)
    try:
        queue.remove(name)
        if job.started_at is not None or worker is not None:
            queue.stop(name, worker=worker)
    except QueueUnavailable as error:
        logger.warning("not told to stop yet, the queue does not answer: %s", error, extra=about(job))
