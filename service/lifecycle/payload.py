"""From a row of `jobs` to the payload of its present attempt."""

from __future__ import annotations

from typing import Any

from service.schemas.generations import Plan
from service.store.models import Job
from workers.contract import CheckPin, EraserPin, EvaluationTask, FallbackPin, GenerationTask, TrainingTask


def payload(job: Job) -> dict[str, Any]:
    """The task as JSON values, checked against the contract before it goes out."""
    return _task(job).model_dump(mode="json")


def _task(job: Job) -> GenerationTask | TrainingTask | EvaluationTask:
    match job.kind:
        case "generate":
            return _generation(job)
        case "train":
            return TrainingTask.model_validate({**job.plan, "attempt": job.attempt})
        case "evaluate":
            return EvaluationTask.model_validate({**job.plan, "attempt": job.attempt})


def _generation(job: Job) -> GenerationTask:
    plan = Plan.model_validate(job.plan)
    pins = tuple(
        EraserPin(
            concept=eraser.concept,
            version=eraser.version,
            digest=eraser.digest,
            strength=eraser.strength,
            must_reduce=eraser.must_reduce,
        )
        for eraser in plan.erase
    )
    fallbacks = tuple(FallbackPin(**fallback.model_dump()) for fallback in plan.fallbacks)
    checks = tuple(CheckPin(**check.model_dump()) for check in plan.checks)
    numbers = plan.model_dump(exclude={"erase", "fallbacks", "checks", "encoder_fingerprint", "policies", "warnings"})
    return GenerationTask(id=job.id, attempt=job.attempt, erase=pins, fallbacks=fallbacks, checks=checks, **numbers)
