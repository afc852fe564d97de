"""Settling: what the artifact store holds of a job's present attempt becomes its end in SQL.

The store is asked, never the hint that something is there. Only the present attempt's folder is read, and only a row that
still is at this attempt is moved, so a late attempt settles nothing. A job that was never seen running passes through
`running` on its way, so that the closed table of moves holds.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from sqlalchemy.orm import Session

from service import audit
from service.domain.states import TERMINAL
from service.erasers import registry
from service.lifecycle.receipt_check import differences
from service.lifecycle.window import Window
from service.logs import about
from service.metrics import Metrics
from service.schemas.generations import Plan
from service.store import jobs
from service.store.database import Database
from service.store.models import Job
from workers.contract import (
    MAX_ATTEMPTS,
    EvaluationResult,
    FailureCode,
    FailureRecord,
    Receipt,
    TrainingResult,
    attempt_prefix,
    eraser_key,
    evaluation_result_key,
    failure_key,
    receipt_key,
    training_result_key,
    video_key,
)
from workers.store.artifacts import ArtifactMissing, ArtifactStore

logger = logging.getLogger(__name__)

Ended = TypeVar("Ended", Receipt, TrainingResult, EvaluationResult, FailureRecord)
_EVALUATED = ("concept", "version", "digest")
Move = Callable[[Session, Job], bool]
End = tuple[Move, datetime]
"""How an attempt ended, and when it began at the latest."""


POLL_SECONDS = 1.0
"""For so long a store that had no record of an attempt is not asked again for a client that polls."""
_MAX_REMEMBERED = 10_000
_MAX_FAULTS = 5
_MAX_TAKEN_SECONDS = 10 * 365 * 86400.0
"""`timedelta` has an end."""


class Settler:
    def __init__(
        self,
        database: Database,
        store: ArtifactStore,
        window: Window,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._store = store
        self._window = window
        self._metrics = metrics
        self._clock = clock
        self._no_record_at: dict[tuple[str, int], float] = {}  # by job and attempt; forgetting one costs one read

    def settle(self, job: Job, *, polled: bool = False) -> bool:
        """Whether the present attempt has ended. `job` is brought up to date when it was this call that moved it.

        An attempt without a terminal record costs one read of the store, a listing of its folder. With `polled`, the answer "no
        record" may be up to `POLL_SECONDS` old."""
        if job.status in TERMINAL:
            return True
        if not self._has_record(job, max_age_seconds=POLL_SECONDS if polled else 0.0):
            return False
        try:
            end = self._end_of(job)
            end = end or self._end_by_failure(job)
        except _Unusable as unusable:
            logger.error("unusable record: %s", unusable, extra=about(job))
            end = _failing(unusable.code, str(unusable)), datetime.now(UTC)
        if end is None:
            return False
        self._apply(job, *end)
        return True

    def _has_record(self, job: Job, *, max_age_seconds: float) -> bool:
        attempt, now = (job.id, job.attempt), self._clock()
        if now - self._no_record_at.get(attempt, float("-inf")) < max_age_seconds:
            return False
        if any(key.endswith(".json") for key in self._store.list(attempt_prefix(job.kind, job.id, job.attempt))):
            self._no_record_at.pop(attempt, None)
            return True
        if len(self._no_record_at) >= _MAX_REMEMBERED:
            self._no_record_at = {}
        self._no_record_at[attempt] = now
        return False

    def _apply(self, job: Job, move: Move, began: datetime) -> None:
        with self._database.write() as session:
            if job.status == "queued" and not jobs.start(session, job, at=began):
                return
            jobs.start_earlier(session, job, at=began)
            moved = move(session, job)
            if moved and job.status in TERMINAL:
                audit.settled(session, job)
        if moved:
            logger.info("settled", extra={**about(job), "status": job.status, "code": job.error_code})
            self._metrics.ended(job)
            self._window.fill()

    def _end_of(self, job: Job) -> End | None:
        match job.kind:
            case "generate":
                return self._end_of_generation(job)
            case "train":
                return self._end_of_training(job)
            case "evaluate":
                return self._end_of_evaluation(job)

    def _end_of_generation(self, job: Job) -> End | None:
        receipt = self._read(Receipt, receipt_key(job.id, job.attempt), job)
        if receipt is None:
            return None
        try:
            video = self._store.stat(video_key(job.id, job.attempt))
        except ArtifactMissing:
            raise _Unusable("there is a receipt, but no video") from None
        if wrong := differences(Plan.model_validate(job.plan), receipt, video_bytes=video.bytes):
            message = f"the receipt is not of the accepted request ({', '.join(wrong)}); the video is withheld"
            raise _Unusable(message, code="receipt_mismatch")
        result = _finite(receipt.model_dump(mode="json"))
        began = _began(job, receipt.created_at, sum(receipt.stage_seconds.values()))
        return (lambda session, row: jobs.succeed(session, row, result=result)), began

    def _end_of_training(self, job: Job) -> End | None:
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

        return register, _began(job, result.created_at, result.seconds)

    def _end_of_evaluation(self, job: Job) -> End | None:
        result = self._read(EvaluationResult, evaluation_result_key(job.id, job.attempt), job)
        if result is None:
            return None
        found, wanted = (result.concept, result.version, result.digest), tuple(job.plan[name] for name in _EVALUATED)
        if found != wanted:
            raise _Unusable(f"the evaluation is of {result.concept!r} version {result.version}, artifact {result.digest}")
        values = _finite(result.model_dump(mode="json"))

        def register(session: Session, row: Job) -> bool:
            if not jobs.succeed(session, row, result=values):
                return False
            registry.measured(session, row.id, values["evaluation"])
            return True

        return register, _began(job, result.created_at, result.seconds)

    def _end_by_failure(self, job: Job) -> End | None:
        record = self._read(FailureRecord, failure_key(job.kind, job.id, job.attempt), job)
        if record is None:
            return None
        began = _began(job, record.created_at, 0.0)
        if record.code == "cancelled":
            return cancel, began
        if record.retryable and job.attempt < MAX_ATTEMPTS:
            return jobs.requeue, began
        return _failing(record.code, record.message), began

    def fail(self, job: Job, *, code: str, message: str) -> None:
        """End a job that no worker ended."""
        self._apply(job, _failing(code, message), datetime.now(UTC))

    def _read(self, kind: type[Ended], key: str, job: Job) -> Ended | None:
        try:
            record = kind.model_validate_json(self._store.get(key))
        except ArtifactMissing:
            return None
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:_MAX_FAULTS])
            raise _Unusable(f"{key} is no record of this version ({faults})") from error
        if (record.id, record.attempt) != (job.id, job.attempt):
            raise _Unusable(f"{key} is the record of {record.id} attempt {record.attempt}")
        return record


def cancel(session: Session, job: Job) -> bool:
    """Move an unfinished job to `canceled`. The version that a training was to make is `failed` from then on; the version that
    an evaluation was to measure stays as it was."""
    if not jobs.cancel(session, job):
        return False
    if job.kind == "train":
        registry.give_up(session, job.id)
    return True


class _Unusable(Exception):
    """The store holds a record that cannot count. The job fails, with this as its message."""

    def __init__(self, message: str, *, code: FailureCode = "internal_error") -> None:
        super().__init__(message)
        self.code: FailureCode = code


def _failing(code: str, message: str) -> Move:
    def move(session: Session, job: Job) -> bool:
        if not jobs.fail(session, job, code=code, message=message.replace("\0", "")):
            return False
        if job.kind == "train":
            registry.give_up(session, job.id)
        elif job.kind == "evaluate":
            registry.not_measured(session, job.id, code)
        return True

    return move


def _began(job: Job, recorded_at: str, seconds: float) -> datetime:
    """When an attempt began at the latest: its own account of how long it took, counted back from its record. The gateway may
    have noticed only later that it runs. The worker's clock may be wrong: no attempt began before its job was accepted."""
    try:
        ended_at = min(datetime.now(UTC), datetime.fromisoformat(recorded_at))
    except (ValueError, TypeError):  # TypeError: it names no time zone
        ended_at = datetime.now(UTC)
    taken = timedelta(seconds=min(seconds, _MAX_TAKEN_SECONDS) if math.isfinite(seconds) else 0)
    return max(job.created_at, ended_at - taken)


def _finite(value: Any) -> Any:
    """NaN and infinities are no JSON; a number that was not measured is null, and passes no gate."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
