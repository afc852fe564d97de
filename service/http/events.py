"""Server-sent events of one job.

What workers say (`started`, `stage`, `step`, `finished`, `failed`, `cancelled`) is passed on under the ids of its Redis stream,
so a client that comes back with `Last-Event-ID` misses nothing. The last event is always `settled`, from SQL, with the whole
resource as data: it comes also when Redis lost the stream, or was never there. Then the stream ends.

Redis is not trusted: an entry is left out if its name is not one of these, or if its data is too long or not a JSON object. So
the outcome of a job is never read from Redis.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, cast

import anyio
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from service.errors import LimitError
from workers.contract import events_key

_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_START = "0-0"
_PING_SECONDS = 15
_BLOCK_SECONDS = 1.0
_STOP_SECONDS = 10.0
"""How long a stream may take to end well when the gateway stops: one block, and what a busy machine makes of it."""
_RETRY_SECONDS = 5
_ENDING = frozenset({"finished", "failed", "cancelled"})
_NAMES = _ENDING | {"started", "stage", "step"}
_MAX_DATA_BYTES = 64 * 2**10
_AFTER_ENDING_SECONDS = 0.05
"""A worker's last word comes an instant before SQL knows; then it is asked again soon."""

Fields = dict[bytes, bytes]


@dataclass(frozen=True)
class Snapshot:
    """A resource now. `settled`: nothing will change it any more."""

    body: BaseModel
    settled: bool


@dataclass(frozen=True)
class StreamLimits:
    """The most event streams at once: of this gateway, of one key, and of one key for one job."""

    total: int
    per_key: int
    per_job: int


class _CountedResponse(EventSourceResponse):
    """A stream that counts as open from its creation until its response ends, however it ends.

    Created on the event loop right after the check, so that requests which arrive together cannot all pass it.
    """

    def __init__(
        self, open_: Counter[tuple[str, ...]], counted: tuple[tuple[str, ...], ...], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._open, self._counted = open_, counted
        self._open.update(counted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._open.subtract(self._counted)
            for place in self._counted:
                if not self._open[place]:
                    del self._open[place]


class EventSource:
    def __init__(self, redis: Redis, limits: StreamLimits) -> None:
        self._redis = redis
        self._limits = limits
        self._open: Counter[tuple[str, ...]] = Counter()

    async def follow(
        self, job_id: str, *, last_event_id: str | None, look: Callable[[], Snapshot | None], stopping: anyio.Event
    ) -> AsyncIterator[ServerSentEvent]:
        """Events after `last_event_id` until the resource is settled, or gone, or the server is stopping (then the client
        comes back to the next one). `look` may block; it runs in a thread."""
        after = last_event_id if last_event_id and _ID.fullmatch(last_event_id) else _START
        block_seconds = _BLOCK_SECONDS
        while not stopping.is_set():
            now = await run_in_threadpool(look)
            last_look = now is None or now.settled
            for entry_id, fields in await self._read(job_id, after, None if last_look else block_seconds):
                after = entry_id.decode()
                name = fields.get(b"event", b"").decode(errors="replace")
                data = _object(fields.get(b"data", b"{}"))
                if name in _NAMES and data is not None:
                    block_seconds = _AFTER_ENDING_SECONDS if name in _ENDING else _BLOCK_SECONDS
                    yield ServerSentEvent(data=data, event=name, id=after)
            if last_look:
                if now is not None:
                    yield ServerSentEvent(data=now.body.model_dump_json(), event="settled")
                return

    def respond(
        self, job_id: str, *, key_id: str, last_event_id: str | None, look: Callable[[], Snapshot | None]
    ) -> EventSourceResponse:
        """The response that streams a job's events to a key. Raises `LimitError` where too many streams are open."""
        counted = ((), (key_id,), (key_id, job_id))
        self._check(counted)
        stopping = anyio.Event()
        stream = self.follow(job_id, last_event_id=last_event_id, look=look, stopping=stopping)
        return _CountedResponse(
            self._open, counted, stream, ping=_PING_SECONDS, shutdown_event=stopping, shutdown_grace_period=_STOP_SECONDS
        )

    def _check(self, counted: tuple[tuple[str, ...], ...]) -> None:
        limits = (self._limits.total, self._limits.per_key, self._limits.per_job)
        holders = ("this gateway", "this key", "this key for this job")
        for place, limit, holder in zip(counted, limits, holders, strict=True):
            if self._open[place] >= limit:
                message = f"{holder} has {limit} event streams open, which is the most: close one, or poll `links.self`"
                raise LimitError("too_many_streams", message, retry_after_seconds=_RETRY_SECONDS)

    async def _read(self, job_id: str, after: str, block_seconds: float | None) -> list[tuple[bytes, Fields]]:
        """New entries; waits for the first one up to `block_seconds`. None when there are none, or no Redis."""
        try:
            block = None if block_seconds is None else int(block_seconds * 1000)
            answer = await self._redis.xread({events_key(job_id): after}, block=block)
        except RedisError:
            await asyncio.sleep(block_seconds or 0)
            return []
        return cast(list[tuple[bytes, list[tuple[bytes, Fields]]]], answer)[0][1] if answer else []


def _object(data: bytes) -> str | None:
    """Returns the JSON object in an entry as one line, with null for numbers that are not finite. None if it is not an object."""
    if len(data) > _MAX_DATA_BYTES:
        return None
    try:
        value = json.loads(data, parse_constant=lambda _: None)
        return json.dumps(value, allow_nan=False) if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        return None
