"""RQ's jobs and queue as a worker takes them from a Redis that it does not trust.

Of a job in Redis a worker reads two things: its name, from the queue, and the signed token that is its data. Everything else
that RQ keeps there (functions to call, callbacks, webhooks, dependencies, repeats, retries, rate limits, metadata, results) is
ignored, so that nothing there names code to run, a URL to call or bytes to unpickle.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError
from rq.exceptions import DequeueTimeout, NoSuchJobError
from rq.intermediate_queue import IntermediateQueue
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

MAX_TOKEN_BYTES = 64 * 2**20
"""Far above any task: the body of a training request is at most 4 MiB."""

_NAME = re.compile(rb"[A-Za-z0-9_-]{1,100}")
_KEEP_SECONDS = 300


class QueuedJob(Job):
    """An RQ job that is a name and a token. `run` is set by the worker that has checked the token."""

    run: Callable[[], None] | None = None

    def __init__(self, id: str | None = None, connection: Redis | None = None, serializer: Any = None) -> None:  # noqa: A002
        super().__init__(id, connection, JSONSerializer)  # whoever asks: RQ's default would unpickle

    @property
    def token(self) -> bytes:
        """What the gateway signed, if it did."""
        return self.data

    def refresh(self) -> None:
        try:
            super().refresh()
        except ResponseError as error:  # another type lies under the job's key
            raise NoSuchJobError(str(error)) from error

    def restore(self, raw_data: Mapping[bytes, bytes]) -> None:
        """Take the token from RQ's hash, and nothing else. Raises `NoSuchJobError` where there is none."""
        packed = raw_data.get(b"data")
        if packed is None:
            raise NoSuchJobError(f"{self.id} has no data")
        self.data = _unpacked(packed)
        self.result_ttl = self.failure_ttl = _KEEP_SECONDS

    def perform(self) -> None:
        if self.run is None:
            raise RuntimeError(f"{self.id} was not checked before it should run")
        self.run()

    def _deserialize_data(self) -> None:
        """RQ asks for these to log them."""
        self._func_name, self._instance, self._args, self._kwargs = "clearway", None, (), {}


class WorkerQueue(Queue):
    """Passes over names in a queue that are no names of jobs. RQ would end the worker over them."""

    job_class = QueuedJob

    @classmethod
    def lmove(cls, connection: Redis, queue_key: str, timeout: int | None) -> Any:
        found = super().lmove(connection, queue_key, timeout)
        if found is not None and not _NAME.fullmatch(found[1]):
            connection.lrem(IntermediateQueue.get_intermediate_queue_key(queue_key), 1, found[1])
            raise DequeueTimeout(timeout, queue_key)
        return found


def _unpacked(packed: bytes) -> bytes:
    """At most `MAX_TOKEN_BYTES`; what is longer is cut off, and fails its check. RQ stores data compressed or plain."""
    try:
        return zlib.decompressobj().decompress(packed, MAX_TOKEN_BYTES)
    except zlib.error:
        return packed[:MAX_TOKEN_BYTES]
