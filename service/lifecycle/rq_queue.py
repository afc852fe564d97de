"""The queue on RQ 3: one queue per kind of worker (so RQ takes jobs crash-safely, by BLMOVE), every job with a name, a timeout
and lifetimes of its own. RQ retries nothing: attempts are counted in SQL (`service.lifecycle.sweep`).

The data of an RQ job is one signed token and nothing else (`workers.queue_messages`), so what a worker runs cannot be changed in
Redis. Of what Redis says, the gateway reads names and states only, and none of it decides how a job ended.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.command import PUBSUB_CHANNEL_TEMPLATE
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from service.lifecycle.queue import QueueStatus, QueueUnavailable
from workers.contract import (
    EVALUATE_FUNCTION,
    GENERATE_FUNCTION,
    GENERATE_QUEUE,
    TRAIN_FUNCTION,
    TRAIN_QUEUE,
    JobKind,
    WorkerKind,
    worker_of,
)
from workers.queue_messages import QueuedTask, QueueKeys, StopCommand

_QUEUES: Mapping[WorkerKind, str] = {"generate": GENERATE_QUEUE, "train": TRAIN_QUEUE}
_FUNCTIONS: Mapping[JobKind, str] = {
    "generate": GENERATE_FUNCTION,
    "train": TRAIN_FUNCTION,
    "evaluate": EVALUATE_FUNCTION,
}
_KEEP_ENDED_SECONDS = 300
"""How long RQ remembers an ended job. SQL and the store are the record; this only spares Redis (6.6 kB a job)."""

_STATUSES: Mapping[bytes, QueueStatus] = {
    b"created": "waiting",
    b"queued": "waiting",
    b"deferred": "waiting",
    b"scheduled": "waiting",
    b"started": "taken",
}


class _TokenSerializer(JSONSerializer):
    """RQ's seam for the data of a job: writes the token itself, not RQ's list of a function's name and arguments."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        match value:
            case (str(), None, (bytes() as token,), {}):
                return token
            case _:
                return json.dumps(value).encode()


class RqQueue:
    """`service.lifecycle.queue.JobQueue` on RQ."""

    def __init__(self, connection: Redis, keys: QueueKeys, *, generate_timeout_seconds: int, train_timeout_seconds: int) -> None:
        self._connection = connection
        self._keys = keys
        self._timeout_seconds: dict[WorkerKind, int] = {"generate": generate_timeout_seconds, "train": train_timeout_seconds}
        self._queues = {
            kind: Queue(name, connection=connection, serializer=_TokenSerializer) for kind, name in _QUEUES.items()
        }

    def submit(self, kind: JobKind, name: str, payload: dict[str, Any]) -> None:
        with _translated():
            try:
                self._enqueue(kind, name, payload)
            except DuplicateJobError:
                if self._state(name) is None:
                    self._replace_remains(kind, name, payload)

    def _replace_remains(self, kind: JobKind, name: str, payload: dict[str, Any]) -> None:
        """A worker that began a job when Redis was wiped writes parts of it anew. Nobody can run them, and while they are there
        the job would count as being in line."""
        self._connection.delete(Job.key_for(name))
        with contextlib.suppress(DuplicateJobError):
            self._enqueue(kind, name, payload)

    def _enqueue(self, kind: JobKind, name: str, payload: dict[str, Any]) -> None:
        worker, function = worker_of(kind), _FUNCTIONS[kind]
        queue, timeout_seconds = _QUEUES[worker], self._timeout_seconds[worker]
        message = QueuedTask(queue=queue, name=name, function=function, timeout_seconds=timeout_seconds, task=payload)
        self._queues[worker].enqueue_call(
            function,
            args=(self._keys.sign(message),),
            job_id=name,
            unique=True,
            timeout=timeout_seconds,
            result_ttl=_KEEP_ENDED_SECONDS,
            failure_ttl=_KEEP_ENDED_SECONDS,
            description=name,  # RQ's default would log the prompt
        )

    def waiting(self, kind: WorkerKind) -> set[str]:
        with _translated():
            names: Any = self._connection.lrange(self._queues[kind].key, 0, -1)
        return {name.decode(errors="replace") for name in names}

    def status(self, name: str) -> QueueStatus | None:
        with _translated():
            state = self._state(name)
        return None if state is None else _STATUSES.get(state, "ended")

    def remove(self, name: str) -> None:
        with _translated():
            if _STATUSES.get(self._state(name) or b"") != "waiting":
                return
            with self._connection.pipeline() as pipeline:
                for queue in self._queues.values():
                    pipeline.lrem(queue.key, 0, name)
                pipeline.delete(Job.key_for(name))
                pipeline.execute()

    def stop(self, name: str, *, worker: str | None) -> None:
        with _translated():
            if worker is None:  # RQ's record says who runs it; a wrong name only sends the command where nobody waits for it
                found: Any = self._connection.hget(Job.key_for(name), "worker_name")
                worker = found.decode(errors="replace") if found else None
            if worker is not None:
                self._connection.publish(PUBSUB_CHANNEL_TEMPLATE % worker, self._keys.sign(StopCommand(name=name)))

    def _state(self, name: str) -> bytes | None:
        """RQ's word for the state of a job whose data is there; None where there is none."""
        values: Any = self._connection.hmget(Job.key_for(name), ["data", "status"])
        data, state = cast(tuple[bytes | None, bytes | None], tuple(values))
        return None if data is None else state or b"created"


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise QueueUnavailable(str(error)) from error
