"""What Redis knows of jobs in flight: who holds them, how far they are, which workers live.

Everything here may be missing; then the answer is None or empty, never an error to a client. Only `holders` and `give_up`
raise, because the sweep must tell "nobody holds it" from "cannot know".
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from redis import Redis
from redis.exceptions import RedisError

from service.lifecycle.queue import QueueUnavailable
from service.schemas.base import Progress
from workers.contract import WorkerKind, events_key, fence_key, lease_key, worker_key

Record = TypeVar("Record", bound=BaseModel)
WorkerState = Literal["loading", "idle", "busy"]

FENCE_SECONDS = 24 * 3600
"""How late a worker may wake up and still find that its attempt was given up."""

_WORKER_PREFIX = worker_key("")
# KEYS: lease, fence. ARGV: attempt, seconds. A lease that cannot be read is nobody's.
_GIVE_UP = """
local read, held = pcall(cjson.decode, redis.call('GET', KEYS[1]) or '{}')
if read and type(held) == 'table' and held.attempt == tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1], 'EX', ARGV[2])
return 1
"""


class Holder(BaseModel):
    """Who runs a job now."""

    model_config = ConfigDict(frozen=True)

    attempt: int
    worker: str


class LiveWorker(BaseModel):
    model_config = ConfigDict(frozen=True)

    kind: WorkerKind
    model: str
    state: WorkerState


class Flight:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._give_up = redis.register_script(_GIVE_UP)

    def holders(self, job_ids: Sequence[str]) -> list[Holder | None]:
        """One per id, in order. Raises `QueueUnavailable`."""
        if not job_ids:
            return []
        try:
            values = self._redis.mget([lease_key(job_id) for job_id in job_ids])
        except RedisError as error:
            raise QueueUnavailable(str(error)) from error
        return [None if value is None else _parse(Holder, value) for value in values]

    def give_up(self, job_id: str, *, attempt: int) -> bool:
        """From now on no worker begins this attempt or goes on with it. False where one holds it after all. Raises
        `QueueUnavailable`."""
        try:
            return bool(self._give_up(keys=[lease_key(job_id), fence_key(job_id)], args=[attempt, FENCE_SECONDS]))
        except RedisError as error:
            raise QueueUnavailable(str(error)) from error

    def progress(self, job_id: str) -> Progress | None:
        """From the latest event, if Redis has one."""
        try:
            entries = self._redis.xrevrange(events_key(job_id), count=1)
        except RedisError:
            return None
        fields = entries[0][1] if entries else None
        return read_progress(fields[b"data"]) if fields and b"data" in fields else None

    def workers(self) -> list[LiveWorker]:
        """Everybody who showed a sign of life lately; nobody when Redis is away."""
        try:
            keys = list(self._redis.scan_iter(match=f"{_WORKER_PREFIX}*", count=1000))
            values = self._redis.mget(keys) if keys else []
        except RedisError:
            return []
        return [worker for value in values if value is not None and (worker := _parse(LiveWorker, value))]

    def forget(self, job_id: str) -> None:
        """Drop the events of a deleted job, best effort; they expire anyway."""
        try:
            self._redis.delete(events_key(job_id), fence_key(job_id))
        except RedisError:
            return

    def ping(self) -> bool:
        try:
            return bool(self._redis.ping())
        except RedisError:
            return False


def read_progress(data: bytes | str) -> Progress | None:
    """The place that an event's data tells; None where it is not understood."""
    try:
        values = json.loads(data)
        return Progress(stage=values.get("stage"), step=values.get("step"), total=values.get("total"))
    except (ValueError, AttributeError):
        return None


def _parse(kind: type[Record], value: bytes | str) -> Record | None:
    try:
        return kind.model_validate_json(value)
    except ValidationError:
        return None
