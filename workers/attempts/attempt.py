"""One attempt at one job while it runs: is it still wanted, is it still ours, does it still move?

Two threads meet here. The one that runs the job passes stages and steps; the heartbeat thread renews the lease for as
long as it does. A job that stands still for longer than a stage may take loses its lease, as if its worker had died: a hung
GPU looks exactly like a dead one.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import JsonValue

from workers import log_lines
from workers.attempts.events import EventName, Events
from workers.attempts.lease import Lease
from workers.contract import JobKind
from workers.errors import Cancelled

logger = logging.getLogger(__name__)

MIN_SECONDS_BETWEEN_STEPS = 0.05
"""Step events closer together are left out, but for the last: nobody reads twenty a second."""


class Attempt:
    def __init__(
        self,
        kind: JobKind,
        *,
        lease: Lease,
        events: Events,
        stage_timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.kind = kind
        self.lease = lease
        self.job_id = lease.job_id
        self.number = lease.attempt
        self.stage_seconds: dict[str, float] = {}
        self._events = events
        self._stage_timeout_seconds = stage_timeout_seconds
        self._clock = clock
        self._cancelled = threading.Event()
        self._stage = "start"
        self._moved_at = clock()
        self._said_step_at = float("-inf")

    # --- The thread that runs the job -----------------------------------------------------------------------------

    def enter(self, stage: str) -> None:
        self._move(stage)
        self.emit("stage", {"stage": stage})

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A part of the work. Its seconds are kept, also where it is entered more than once."""
        self.enter(name)
        started = self._clock()
        try:
            yield
        finally:
            self.stage_seconds[name] = round(self.stage_seconds.get(name, 0.0) + self._clock() - started, 4)
        self._move(name)

    def step(self, step: int, total: int, info: dict[str, JsonValue] | None = None) -> None:
        """Note progress within a stage; raise if the job is no longer wanted or no longer ours."""
        self._move(self._stage)
        now = self._clock()
        if step == total or now - self._said_step_at >= MIN_SECONDS_BETWEEN_STEPS:
            self._said_step_at = now
            self.emit("step", {"stage": self._stage, "step": step, "total": total, **({"info": info} if info else {})})

    def progress(self, stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        """As the library reports it: a step that also names its stage."""
        if stage != self._stage:
            self.enter(stage)
        self.step(step, total, info)

    def emit(self, event: EventName, data: dict[str, JsonValue]) -> None:
        self._events.emit(event, data)

    def _move(self, stage: str) -> None:
        if self._cancelled.is_set():
            raise Cancelled(f"cancelled during {self._stage}")
        self.lease.check()
        self._stage, self._moved_at = stage, self._clock()

    # --- Other threads --------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Ask for an end at the next step."""
        self._cancelled.set()

    def stalled(self) -> bool:
        return self._clock() - self._moved_at > self._stage_timeout_seconds

    def beat(self) -> None:
        with log_lines.about(job=self.job_id, attempt=self.number, kind=self.kind):
            if self.stalled():
                logger.error("no step in stage %r for %.0f s", self._stage, self._stage_timeout_seconds)
                self.lease.abandon(f"no step in stage {self._stage!r} for {self._stage_timeout_seconds:.0f} s")
            else:
                self.lease.renew()
