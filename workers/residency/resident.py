"""What stays in a worker process between jobs: the model, verified erasers, connections, and the attempt that runs now.

RQ calls tasks by dotted name and hands them only their payload, so the process keeps one `Resident` for them to find.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from redis import Redis

from workers.attempts.attempt import Attempt
from workers.attempts.events import Events
from workers.attempts.lease import Lease
from workers.attempts.presence import Presence
from workers.contract import JobKind, WorkerKind, rq_job_id
from workers.detection.watch import Watch
from workers.pipelines.base import VideoPipeline
from workers.residency.eraser_cache import EraserCache
from workers.residency.fallbacks import Fallbacks
from workers.settings import WorkerSettings
from workers.store.artifacts import ArtifactStore


@dataclass
class Resident:
    kind: WorkerKind
    settings: WorkerSettings
    redis: Redis
    """The brisk one: see `workers.attempts.connection`."""
    store: ArtifactStore
    pipeline: VideoPipeline
    erasers: EraserCache
    fallbacks: Fallbacks
    presence: Presence
    watch: Watch = field(default_factory=Watch)
    must_exit: bool = False
    """Set when the device can no longer be trusted: the process ends after this job, for its supervisor to start it anew."""
    _running: Attempt | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return self.presence.name

    @contextmanager
    def attempt(self, kind: JobKind, job_id: str, number: int) -> Iterator[Attempt]:
        """Take the job's lease, keep it while the block runs, and let go of it. Raises `LeaseRefused`."""
        lease = Lease(self.redis, job_id=job_id, attempt=number, worker=self.name, seconds=self.settings.lease_seconds)
        lease.take()
        attempt = Attempt(
            kind,
            lease=lease,
            events=Events(self.redis, job_id),
            stage_timeout_seconds=self.settings.stage_timeout_seconds,
        )
        self._running = attempt
        self.presence.show("busy")
        try:
            yield attempt
        finally:
            self._running = None
            lease.release()
            self.presence.show("idle")

    def beat(self) -> None:
        """Called by the heartbeat thread. A stalled worker falls silent altogether."""
        running = self._running
        if running is not None:
            running.beat()
        if running is None or not running.stalled():
            self.presence.show()

    def cancel(self, stopped_rq_job_id: str | None) -> None:
        """End the running attempt at its next step, if it is the one that is meant."""
        running = self._running
        if running is not None and rq_job_id(running.job_id, running.number) == stopped_rq_job_id:
            running.cancel()


_resident: Resident | None = None


def install(resident: Resident | None) -> None:
    global _resident
    _resident = resident


def resident() -> Resident:
    if _resident is None:
        raise RuntimeError("tasks run in a worker process: start one with `python -m workers.gpu_worker`")
    return _resident
