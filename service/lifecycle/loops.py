"""Threads of the gateway: one settles on hints at once, one sweeps every few seconds if no other gateway does; what a third does
is in `service.webhooks`."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from service.lifecycle.settle import Settler
from service.lifecycle.sweep import Sweep
from service.metrics import Metrics
from service.store import jobs, leases
from service.store.database import Database
from workers.contract import SETTLED_STREAM
from workers.store.artifacts import ArtifactError

logger = logging.getLogger(__name__)

_BLOCK_SECONDS = 0.2
"""How long the listener waits at a time; so long may a gateway take to stop."""

Entries = list[tuple[bytes, dict[bytes, bytes]]]

_PASSING = (SQLAlchemyError, RedisError, ArtifactError)
"""What a loop survives: parts that are away for a while. Anything else is a defect; it is logged with its trace."""


class Loop:
    """Calls `step(stopping)` until stopped, then `at_end`. A step that fails is logged, and called again after a pause."""

    def __init__(
        self,
        name: str,
        step: Callable[[threading.Event], None],
        *,
        at_end: Callable[[], None] = lambda: None,
        pause_after_failure_seconds: float = 1.0,
    ) -> None:
        self._step = step
        self._at_end = at_end
        self._pause = pause_after_failure_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def join(self) -> None:
        """Wait for the step under way, which waits no longer than `_BLOCK_SECONDS` for Redis."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._guarded(lambda: self._step(self._stopping))
        self._guarded(self._at_end)

    def _guarded(self, call: Callable[[], None]) -> None:
        try:
            call()
        except _PASSING as error:
            logger.warning("%s: %s", self._thread.name, error)
            self._stopping.wait(self._pause)
        except Exception:  # the loop must outlive a defect, or no job would ever settle again
            logger.exception("%s failed", self._thread.name)
            self._stopping.wait(self._pause)


@contextmanager
def running(loops: Sequence[Loop]) -> Iterator[None]:
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.ask_to_stop()
        for loop in loops:
            loop.join()


class HintListener:
    """Waits on the stream of hints and settles what they point to. Hints from before its first look are for the sweep."""

    def __init__(self, redis: Redis, database: Database, settler: Settler) -> None:
        self._redis = redis
        self._database = database
        self._settler = settler
        self._after: bytes | None = None

    def step(self, stopping: threading.Event) -> None:
        if self._after is None:
            self._after = self._newest() or b"0-0"
        for entry_id, fields in self._read(self._after):
            self._after = entry_id
            self._settle(fields.get(b"id", b"").decode(errors="replace"))

    def _newest(self) -> bytes | None:
        entries = cast(Entries, self._redis.xrevrange(SETTLED_STREAM, count=1))
        return entries[0][0] if entries else None

    def _read(self, after: bytes) -> Entries:
        """What came after, as soon as something comes; nothing after `_BLOCK_SECONDS`."""
        answer = self._redis.xread({SETTLED_STREAM: after}, count=100, block=int(_BLOCK_SECONDS * 1000))
        return cast(list[tuple[bytes, Entries]], answer)[0][1] if answer else []

    def _settle(self, job_id: str) -> None:
        with self._database.read() as session:
            job = jobs.get(session, job_id)
        if job is not None:
            self._settler.settle(job)


class Sweeper:
    """Sweeps while it holds the lease in SQL; several gateways take turns only when one goes away."""

    def __init__(self, database: Database, sweep: Sweep, metrics: Metrics, *, interval_seconds: float) -> None:
        self._database = database
        self._sweep = sweep
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._holder = secrets.token_hex(8)

    def step(self, stopping: threading.Event) -> None:
        if leases.hold(self._database, "sweep", holder=self._holder, seconds=5 * self._interval_seconds + 5):
            self._sweep.run()
            self._metrics.swept()
        stopping.wait(self._interval_seconds)

    def release(self) -> None:
        leases.release(self._database, "sweep", holder=self._holder)
