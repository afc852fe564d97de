"""A worker's part played by hand: takes attempts from RQ, holds leases, says events, and leaves records, as the contract says."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any, cast

from fastapi import FastAPI
from fastapi.testclient import TestClient
from redis import Redis
from rq.job import Job
from rq.queue import Queue

from service.gateway import Gateway
from service.store import erasers
from service.store.database import Database
from service.store.models import EraserVersion
from tests.service.calls import wait_until
from workers.common_settings import CommonSettings
from workers.contract import (
    GENERATE_QUEUE,
    SETTLED_STREAM,
    TRAIN_QUEUE,
    Check,
    EraserUse,
    EvaluationResult,
    EvaluationTask,
    FailureCode,
    FailureRecord,
    FallbackUse,
    GenerationTask,
    JobKind,
    MeasuringTask,
    ModelCard,
    Receipt,
    TrainingResult,
    TrainingTask,
    WorkerKind,
    eraser_key,
    evaluation_result_key,
    events_key,
    failure_key,
    lease_key,
    receipt_key,
    training_result_key,
    video_key,
    worker_key,
)
from workers.queue_messages import QueuedTask
from workers.store.artifacts import ArtifactStore

FINGERPRINT = "f" * 64
NOW = "2026-01-01T00:00:00+00:00"
VIDEO = bytes(range(256)) * 8
PASSING = {"origin_rate": 0.95, "erased_rate": 0.02, "synonym_rate": 0.05, "kept_rate": 0.97, "scene_kept": 0.98}

CARD = ModelCard(
    id="toy",
    family="wan",
    encoder_fingerprint=FINGERPRINT,
    encoder_layers=8,
    encoder_d_model=192,
    size_multiple=16,
    min_size=32,
    max_size=128,
    frames_multiple=4,
    frames_offset=1,
    max_frames=33,
    max_steps=50,
    refused_steps=(7, 13, 14),
    max_prompt_tokens=128,
    default_width=64,
    default_height=64,
    default_num_frames=9,
    default_num_inference_steps=20,
    default_guidance_scale=4.0,
    default_frames_per_second=8,
)


def gateway_of(client: TestClient) -> Gateway:
    return cast(Gateway, cast(FastAPI, client.app).state.gateway)


def digest_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_eraser(
    client: TestClient,
    concept: str,
    *,
    fingerprint: str = FINGERPRINT,
    evaluation: dict[str, Any] | None = None,
    active: bool = True,
    method: str = "clear",
    minimum_strength: float | None = None,
) -> EraserVersion:
    """A version as if it had been shipped or trained before."""
    return insert_eraser(
        gateway_of(client).database, concept, fingerprint=fingerprint, evaluation=evaluation, active=active, method=method,
        minimum_strength=minimum_strength,
    )  # fmt: skip


def insert_eraser(
    database: Database,
    concept: str,
    *,
    fingerprint: str = FINGERPRINT,
    evaluation: dict[str, Any] | None = None,
    active: bool = True,
    method: str = "clear",
    minimum_strength: float | None = None,
) -> EraserVersion:
    """As `add_eraser`, where the gateway is another process."""
    with database.write() as session:
        return erasers.insert_shipped(
            session,
            concept=concept,
            method=method,
            model="toy",
            encoder_fingerprint=fingerprint,
            digest=digest_of(f"{concept}{fingerprint}{active}"),
            layer=5,
            strength=1.5,
            minimum_strength=minimum_strength,
            evaluation=PASSING if evaluation is None else evaluation,
            config={},
            activate=active,
        )


class Hand:
    name = "hand-1"

    def __init__(self, redis: Redis, store: ArtifactStore) -> None:
        self.redis = redis
        self.store = store
        self._keys = CommonSettings().queue_keys()

    def be_seen(self, *, kind: WorkerKind = "generate", model: str = "toy", state: str = "idle") -> None:
        self.redis.set(worker_key(self.name), json.dumps({"kind": kind, "model": model, "state": state, "pid": 1}), ex=15)

    def look(self, kind: WorkerKind = "generate") -> dict[str, Any] | None:
        """The payload of the next attempt in line, left there."""
        name = cast(bytes | None, self.redis.lindex(self._queue(kind).key, 0))
        return None if name is None else dict(self._keys.open(QueuedTask, self._job(name).data).task)

    def take(self, kind: WorkerKind = "generate", *, hold: bool = True) -> dict[str, Any] | None:
        """Take the next attempt from the line, as RQ would, or None. Held from before it leaves the line, so that a machine
        too busy to come back in time does not make a lost worker of it; `hold=False` plays one that dies at once."""
        payload = self.look(kind)
        if payload is not None:
            if hold:
                self.redis.set(lease_key(payload["id"]), self._lease(payload["attempt"]), ex=60)
            self._job(cast(bytes, self.redis.lpop(self._queue(kind).key))).set_status("started")  # type: ignore[arg-type]
        return payload

    def take_generation(self, *, hold: bool = True) -> GenerationTask:
        """The next in line, whether the call that accepted it rings or the sweep that came between."""
        return GenerationTask.model_validate(wait_until(lambda: self.take(hold=hold)))

    def take_training(self) -> TrainingTask:
        """As a generation."""
        return TrainingTask.model_validate(wait_until(lambda: self.take("train")))

    def take_evaluation(self) -> EvaluationTask:
        """The next on the trainer's queue, which must be an evaluation."""
        return EvaluationTask.model_validate(wait_until(lambda: self.take("train")))

    def _queue(self, kind: WorkerKind) -> Queue:
        name = GENERATE_QUEUE if kind == "generate" else TRAIN_QUEUE
        return Queue(name, connection=self.redis, serializer="json")

    def _job(self, name: bytes) -> Job:
        return Job.fetch(name.decode(), connection=self.redis, serializer="json")

    def _lease(self, attempt: int) -> str:
        return json.dumps({"attempt": attempt, "worker": self.name})

    def hold(self, task: GenerationTask | MeasuringTask, *, seconds: int = 60) -> None:
        self.redis.set(lease_key(task.id), self._lease(task.attempt), ex=seconds)

    def let_go(self, task: GenerationTask | MeasuringTask) -> None:
        self.redis.delete(lease_key(task.id))

    def say(self, task: GenerationTask | MeasuringTask, event: str, **data: Any) -> str:
        return cast(bytes, self.redis.xadd(events_key(task.id), {"event": event, "data": json.dumps(data)})).decode()

    def hint(self, kind: JobKind, task: GenerationTask | MeasuringTask) -> None:
        self.redis.xadd(SETTLED_STREAM, {"kind": kind, "id": task.id, "attempt": task.attempt})

    def finish(self, task: GenerationTask, *, hint: bool = True, **changes: Any) -> Receipt:
        receipt = receipt_of(task, **changes)
        self.store.put(video_key(task.id, task.attempt), VIDEO)
        self.store.put(receipt_key(task.id, task.attempt), receipt.model_dump_json().encode())
        self.let_go(task)
        if hint:
            self.hint("generate", task)
        return receipt

    def finish_training(self, task: TrainingTask, evaluation: dict[str, Any] | None = None) -> TrainingResult:
        digest = digest_of(task.id)
        for name in ("eraser.safetensors", "config.json"):
            self.store.put(eraser_key(digest, name), b"{}")
        result = TrainingResult(
            id=task.id, attempt=task.attempt, digest=digest, concept=task.concept, version=task.version, method=task.method,
            encoder_fingerprint=FINGERPRINT, layer=3, strength=2.0, minimum_strength=1.0, seconds=4.0, worker=self.name,
            created_at=NOW,
            evaluation=PASSING if evaluation is None else evaluation,
        )  # fmt: skip
        self.store.put(training_result_key(task.id, task.attempt), result.model_dump_json().encode())
        self.let_go(task)
        self.hint("train", task)
        return result

    def finish_evaluation(
        self, task: EvaluationTask, evaluation: dict[str, Any] | None = None, **changes: Any
    ) -> EvaluationResult:
        values: dict[str, Any] = {
            **{name: getattr(task, name) for name in ("id", "attempt", "digest", "concept", "version")},
            "seconds": 3.0,
            "evaluation": PASSING if evaluation is None else evaluation,
            "worker": self.name,
            "created_at": NOW,
        }
        result = EvaluationResult.model_validate({**values, **changes})
        self.store.put(evaluation_result_key(task.id, task.attempt), result.model_dump_json().encode())
        self.let_go(task)
        self.hint("evaluate", task)
        return result

    def fail(
        self,
        kind: JobKind,
        task: GenerationTask | MeasuringTask,
        code: FailureCode = "out_of_memory",
        *,
        retryable: bool = False,
    ) -> None:
        record = FailureRecord(
            id=task.id,
            attempt=task.attempt,
            code=code,
            message="told by hand",
            retryable=retryable,
            worker=self.name,
            created_at=NOW,
        )
        self.store.put(failure_key(kind, task.id, task.attempt), record.model_dump_json().encode())
        self.let_go(task)
        self.hint(kind, task)


REDUCED: dict[str, Any] = {"score_before": 0.9, "score_after": 0.1, "absent_below": 0.35, "verdict": "removed"}
"""What an eraser did, as a receipt says it."""


def receipt_of(task: GenerationTask, **changes: Any) -> Receipt:
    uses = tuple(
        EraserUse(
            concept=pin.concept, version=pin.version, digest=pin.digest, layer=5, strength=pin.strength or 0.0,
            tokens_edited=3, **REDUCED,
        )
        for pin in task.erase
    )  # fmt: skip
    fallbacks = tuple(
        FallbackUse(**fallback.model_dump(exclude={"must_reduce"}), tokens_edited=2, **REDUCED) for fallback in task.fallbacks
    )
    checks = tuple(Check(**check.model_dump(), share=0.0, verdict="not_seen") for check in task.checks)
    own = {"prompt", "negative_prompt", "erase", "fallbacks", "checks", "schema_version"}
    shared = task.model_dump(exclude=own)
    fields = {
        **shared,
        "encoder_fingerprint": FINGERPRINT,
        "erasers": uses,
        "fallbacks": fallbacks,
        "checks": checks,
        "prompt_sha256": digest_of(task.prompt),
        "negative_prompt_sha256": digest_of(task.negative_prompt),
        "video_sha256": hashlib.sha256(VIDEO).hexdigest(),
        "video_bytes": len(VIDEO),
        "stage_seconds": {"encode": 0.1, "denoise": 0.5},
        "peak_memory_bytes": 1,
        "worker": Hand.name,
        "created_at": datetime.now(UTC).isoformat(),
        **changes,
    }
    return Receipt.model_validate(fields)
