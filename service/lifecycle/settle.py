"""Settling: what the artifact store holds of a job's present attempt becomes its end in SQL.

The store is asked, never the hint that something is there. Only the present attempt's folder is read, and only a row that
still is at this attempt is moved, so a late attempt settles nothing. A job that was never seen running passes through
`running` on its way, so that the closed table of moves holds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session

from service import audit
from service.domain.states import TERMINAL
from service.erasers import registry
from service.lifecycle.window import Window
from service.logs import about
from service.metrics import Metrics
from service.schemas.generations import AppliedFallback, Plan, PlannedCheck
from service.store import jobs
from service.store.database import Database
from service.store.models import Job
from workers.contract import (
    MAX_ATTEMPTS,
    Check,
    FailureRecord,
    FallbackUse,
    Receipt,
    TrainingResult,
    eraser_key,
    failure_key,
    receipt_key,
    training_result_key,
    video_key,
)
from workers.store.artifacts import ArtifactMissing, ArtifactStore

logger = logging.getLogger(__name__)

Ended = TypeVar("Ended", Receipt, TrainingResult, FailureRecord)
Move = Callable[[Session, Job], bool]


class Settler:
    def __init__(self, database: Database, store: ArtifactStore, window: Window, metrics: Metrics) -> None:
        self._database = database
        self._store = store
        self._window = window
        self._metrics = metrics

    def settle(self, job: Job) -> bool:
        """Whether the present attempt has ended. `job` is brought up to date when it was this call that moved it."""
        if job.status in TERMINAL:
            return True
        try:
            end = self._end_of_generation(job) if job.kind == "generate" else self._end_of_training(job)
            end = end or self._end_by_failure(job)
        except _Unusable as unusable:
            logger.error("unusable record: %s", unusable, extra=about(job))
            end = _failing("internal_error", str(unusable)), 0.0
        if end is None:
            return False
        self._apply(job, *end)
        return True

    def _apply(self, job: Job, move: Move, seconds: float) -> None:
        with self._database.write() as session:
            if job.status == "queued" and not jobs.start(session, job, at=_began(job, seconds)):
                return
            moved = move(session, job)
            if moved and job.status in TERMINAL:
                audit.settled(session, job)
        if moved:
            logger.info("settled", extra={**about(job), "status": job.status, "code": job.error_code})
            self._metrics.ended(job)
            self._window.fill()

    def _end_of_generation(self, job: Job) -> tuple[Move, float] | None:
        receipt = self._read(Receipt, receipt_key(job.id, job.attempt), job)
        if receipt is None:
            return None
        plan = Plan.model_validate(job.plan)
        wanted = sorted((eraser.digest, round(eraser.strength, 4)) for eraser in plan.erase)
        if sorted((use.digest, round(use.strength, 4)) for use in receipt.erasers) != wanted:
            raise _Unusable("the receipt does not list exactly the erasers that were asked for; the video is withheld")
        if [_asked(use) for use in receipt.fallbacks] != [_asked(fallback) for fallback in plan.fallbacks]:
            raise _Unusable("the receipt does not list exactly the fallbacks that were asked for; the video is withheld")
        if [_promised(check) for check in receipt.checks] != [_promised(check) for check in plan.checks]:
            raise _Unusable("the receipt does not list exactly the checks that were promised; the video is withheld")
        if any(check.verdict != "not_seen" or check.share > check.max_share for check in receipt.checks):
            raise _Unusable("the receipt says that an erased concept was seen; the video is withheld")
        if not self._store.exists(video_key(job.id, job.attempt)):
            raise _Unusable("there is a receipt, but no video")
        result = _finite(receipt.model_dump(mode="json"))
        return (lambda session, row: jobs.succeed(session, row, result=result)), sum(receipt.stage_seconds.values())

    def _end_of_training(self, job: Job) -> tuple[Move, float] | None:
        result = self._read(TrainingResult, training_result_key(job.id, job.attempt), job)
        if result is None:
            return None
        if (result.concept, result.version) != (job.plan["concept"], job.plan["version"]):
            raise _Unusable(f"the training result is for {result.concept!r} version {result.version}")
        if not all(self._store.exists(eraser_key(result.digest, name)) for name in ("eraser.safetensors", "config.json")):
            raise _Unusable(f"there is a training result, but no artefact {result.digest}")
        values = _finite(result.model_dump(mode="json"))

        def register(session: Session, row: Job) -> bool:
            if not jobs.succeed(session, row, result=values):
                return False
            registry.complete(session, row.id, result, values["evaluation"])
            return True

        return register, result.seconds

    def _end_by_failure(self, job: Job) -> tuple[Move, float] | None:
        record = self._read(FailureRecord, failure_key(job.kind, job.id, job.attempt), job)
        if record is None:
            return None
        if record.code == "cancelled" and job.kind == "generate":
            return jobs.cancel, 0.0
        if record.retryable and job.attempt < MAX_ATTEMPTS:
            return jobs.requeue, 0.0
        return _failing(record.code, record.message), 0.0

    def fail(self, job: Job, *, code: str, message: str) -> None:
        """End a job that no worker ended."""
        self._apply(job, _failing(code, message), 0.0)

    def _read(self, kind: type[Ended], key: str, job: Job) -> Ended | None:
        try:
            record = kind.model_validate_json(self._store.get(key))
        except ArtifactMissing:
            return None
        except ValidationError as error:
            raise _Unusable(f"{key} cannot be read, was it written by another version? {error.errors()[0]['msg']}") from error
        if (record.id, record.attempt) != (job.id, job.attempt):
            raise _Unusable(f"{key} is the record of {record.id} attempt {record.attempt}")
        return record


class _Unusable(Exception):
    """The store holds a record that cannot count. The job fails, with this as its message."""


def _failing(code: str, message: str) -> Move:
    def move(session: Session, job: Job) -> bool:
        if not jobs.fail(session, job, code=code, message=message.replace("\0", "")):
            return False
        if job.kind == "train":
            registry.give_up(session, job.id)
        return True

    return move


def _asked(fallback: FallbackUse | AppliedFallback) -> tuple[str, str, dict[str, Any], float]:
    return fallback.concept, fallback.method, fallback.settings, round(fallback.strength, 4)


def _promised(check: Check | PlannedCheck) -> tuple[str, str, float]:
    return check.concept, check.detector, round(check.max_share, 6)


def _began(job: Job, seconds: float) -> datetime:
    """When an attempt began that was never seen running: its own account of how long it took, counted back from now."""
    return max(job.created_at, datetime.now(UTC) - timedelta(seconds=seconds if math.isfinite(seconds) else 0))


def _finite(value: Any) -> Any:
    """NaN and infinities are no JSON; a number that was not measured is null, and passes no gate."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
