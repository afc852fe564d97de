"""What a job says while it runs: a Redis stream per job, and the stream of hints that a job has settled.

All of it may be lost. A job goes on without Redis, and the store alone says how it ended.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Literal

from pydantic import JsonValue
from redis import Redis
from redis.exceptions import RedisError

from workers.contract import SETTLED_STREAM, JobKind, events_key

logger = logging.getLogger(__name__)

EventName = Literal["started", "stage", "step", "finished", "failed", "cancelled"]

MAX_EVENTS = 2000
EVENTS_TTL_SECONDS = 24 * 3600
MAX_HINTS = 10_000
_SILENCE_SECONDS = 5.0


class Events:
    """The stream of one job. After a failure it says nothing for a while, so that a lost Redis does not slow the job down."""

    def __init__(self, redis: Redis, job_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._job_id = job_id
        self._clock = clock
        self._silent_until = float("-inf")

    def emit(self, event: EventName, data: dict[str, JsonValue]) -> None:
        if self._clock() < self._silent_until:
            return
        key = events_key(self._job_id)
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.xadd(key, {"event": event, "data": json.dumps(data)}, maxlen=MAX_EVENTS, approximate=True)
            pipeline.expire(key, EVENTS_TTL_SECONDS)
            pipeline.execute()
        except RedisError as error:
            self._silent_until = self._clock() + _SILENCE_SECONDS
            logger.warning("event %r was lost: %s", event, error)


def hint_settled(redis: Redis, *, kind: JobKind, job_id: str, attempt: int) -> None:
    """Tell the gateway to look into the store now and not at its next sweep."""
    try:
        fields: dict[str, str | int] = {"kind": kind, "id": job_id, "attempt": attempt}
        redis.xadd(SETTLED_STREAM, fields, maxlen=MAX_HINTS, approximate=True)  # type: ignore[arg-type]
    except RedisError as error:
        logger.warning("the hint that the job settled was lost: %s", error)
