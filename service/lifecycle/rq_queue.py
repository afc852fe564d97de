"""The queue on RQ 3: one queue per kind of worker (so RQ takes jobs crash-safely, by BLMOVE), payloads as JSON, every job
with a name, a timeout and lifetimes of its own. RQ retries nothing: attempts are counted in SQL (`service.lifecycle.sweep`)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.command import send_command, send_stop_job_command
from rq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from service.lifecycle.queue import QueueStatus, QueueUnavailable
from workers.contract import GENERATE_FUNCTION, GENERATE_QUEUE, TRAIN_FUNCTION, TRAIN_QUEUE, WorkerKind

_QUEUES: Mapping[WorkerKind, tuple[str, str]] = {
    "generate": (GENERATE_QUEUE, GENERATE_FUNCTION),
    "train": (TRAIN_QUEUE, TRAIN_FUNCTION),
}
_KEEP_ENDED_SECONDS = 300
"""How long RQ remembers an ended job. SQL and the store are the record; this only spares Redis (6.6 kB a job)."""

_STATUSES: Mapping[str, QueueStatus] = {
    "created": "waiting",
    "queued": "waiting",
    "deferred": "waiting",
    "scheduled": "waiting",
    "started": "taken",
}


class RqQueue:
    """`service.lifecycle.queue.JobQueue` on RQ."""

    def __init__(self, connection: Redis, *, generate_timeout_seconds: int, train_timeout_seconds: int) -> None:
        self._connection = connection
        self._timeout_seconds = {"generate": generate_timeout_seconds, "train": train_timeout_seconds}
        self._queues = {
            kind: Queue(name, connection=connection, serializer=JSONSerializer) for kind, (name, _) in _QUEUES.items()
        }

    def submit(self, kind: WorkerKind, name: str, payload: dict[str, Any]) -> None:
        with _translated():
            try:
                self._enqueue(kind, name, payload)
            except DuplicateJobError:
                if self._fetch(name) is None:
                    self._replace_remains(kind, name, payload)

    def _replace_remains(self, kind: WorkerKind, name: str, payload: dict[str, Any]) -> None:
        """A worker that began a job when Redis was wiped writes parts of it anew. Nobody can run them, and while they are there
        the job would count as being in line."""
        self._connection.delete(Job.key_for(name))
        with contextlib.suppress(DuplicateJobError):
            self._enqueue(kind, name, payload)

    def _enqueue(self, kind: WorkerKind, name: str, payload: dict[str, Any]) -> None:
        self._queues[kind].enqueue_call(
            _QUEUES[kind][1],
            args=(payload,),
            job_id=name,
            unique=True,
            timeout=self._timeout_seconds[kind],
            result_ttl=_KEEP_ENDED_SECONDS,
            failure_ttl=_KEEP_ENDED_SECONDS,
            description=name,  # RQ's default would log the prompt
        )

    def waiting(self, kind: WorkerKind) -> set[str]:
        with _translated():
            names = self._connection.lrange(self._queues[kind].key, 0, -1)
        return {name.decode() if isinstance(name, bytes) else name for name in names}

    def status(self, name: str) -> QueueStatus | None:
        with _translated():
            job = self._fetch(name)
            return _STATUSES.get(job.get_status(refresh=False), "ended") if job else None

    def remove(self, name: str) -> None:
        with _translated():
            job = self._fetch(name)
            if job and _STATUSES.get(job.get_status(refresh=False)) == "waiting":
                job.delete()

    def stop(self, name: str, *, worker: str | None) -> None:
        with _translated():
            if worker is not None:  # also when Redis forgot the RQ job while the worker kept working
                send_command(self._connection, worker, "stop-job", job_id=name)
                return
            with contextlib.suppress(NoSuchJobError, InvalidJobOperation):
                send_stop_job_command(self._connection, name, serializer=JSONSerializer)

    def _fetch(self, name: str) -> Job | None:
        with contextlib.suppress(NoSuchJobError):
            return Job.fetch(name, connection=self._connection, serializer=JSONSerializer)
        return None


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise QueueUnavailable(str(error)) from error
