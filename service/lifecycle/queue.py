"""The queue, as the gateway needs it. It may lose everything at any time: SQL says what was accepted."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from workers.contract import JobKind, WorkerKind

QueueStatus = Literal["waiting", "taken", "ended"]


class QueueUnavailable(Exception):
    """The queue does not answer now."""


class JobQueue(Protocol):
    """Every method may raise `QueueUnavailable`. `name` is that of one attempt: `workers.contract.rq_job_id`."""

    def submit(self, kind: JobKind, name: str, payload: dict[str, Any]) -> None:
        """Put the attempt in line. Does nothing when it is already known."""

    def waiting(self, kind: WorkerKind) -> set[str]:
        """The names of all attempts in line."""

    def status(self, name: str) -> QueueStatus | None:
        """None: never heard of it, or forgotten. `taken`: a worker has it, or had it and is gone."""

    def remove(self, name: str) -> None:
        """Take a waiting attempt out of the line; one that a worker has taken is left to it."""

    def stop(self, name: str, *, worker: str | None) -> None:
        """Tell the worker to stop the attempt, best effort. `worker` as its lease names it, where known."""
