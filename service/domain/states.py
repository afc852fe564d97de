"""The states of a job and of an eraser version, and every move between them. What is not listed is illegal.

job:     queued ──▶ running ──▶ succeeded | failed | canceled
           ▲  │        │
           │  └────────┼──▶ canceled
           └───────────┘  its worker was lost, or it may try again (at most MAX_ATTEMPTS attempts)

version: training ──▶ candidate ──▶ active ◀──▶ retired
             │            │                  (back: rolled back to)
             └──▶ failed ◀┘  its artifact turned out not to be a usable eraser
            (a training that fails or is cancelled)

An imported version starts as a candidate without an evaluation, which does not pass the gate. Being evaluated is no state of a
version: any version may be evaluated, any number of times, and an evaluation that fails for another reason than the artifact
(a lost trainer, pairs that cannot be used) leaves the version as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

JobStatus = Literal["queued", "running", "succeeded", "failed", "canceled"]
VersionStatus = Literal["training", "candidate", "active", "retired", "failed"]

JOB_STATUSES: tuple[JobStatus, ...] = get_args(JobStatus)
VERSION_STATUSES: tuple[VersionStatus, ...] = get_args(VersionStatus)

JOB_MOVES: Mapping[JobStatus, frozenset[JobStatus]] = {
    "queued": frozenset({"running", "canceled"}),
    "running": frozenset({"succeeded", "failed", "canceled", "queued"}),
    "succeeded": frozenset(),
    "failed": frozenset(),
    "canceled": frozenset(),
}

VERSION_MOVES: Mapping[VersionStatus, frozenset[VersionStatus]] = {
    "training": frozenset({"candidate", "failed"}),
    "candidate": frozenset({"active", "failed"}),
    "active": frozenset({"retired"}),
    "retired": frozenset({"active"}),
    "failed": frozenset(),
}

TERMINAL: frozenset[JobStatus] = frozenset(status for status, moves in JOB_MOVES.items() if not moves)


class IllegalMove(Exception):
    """A move that the tables above do not have. Inside the gateway this is a defect; routes check before they move."""

    def __init__(self, what: str, source: str, target: str) -> None:
        super().__init__(f"{what} cannot go from {source} to {target}")


def check_job_move(source: JobStatus, target: JobStatus) -> None:
    if target not in JOB_MOVES[source]:
        raise IllegalMove("a job", source, target)


def check_version_move(source: VersionStatus, target: VersionStatus) -> None:
    if target not in VERSION_MOVES[source]:
        raise IllegalMove("an eraser version", source, target)
