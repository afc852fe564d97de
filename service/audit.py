"""The audit log: what was accepted, how it ended, and what operators did, in the transaction that did it.

An entry holds hashes and names, no words of a request, so that it outlives the deletion of what it tells of
(`CLEARWAY_AUDIT_PROMPTS` has it otherwise). `service.domain.chain` says what ties entries together.

Every function locks the head of the chain until the transaction ends, so it is the last thing that a transaction does:
whoever waits for the head holds what it needs, and no two wait for each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy.orm import Session

from service.domain.chain import digest
from service.schemas.generations import Plan
from service.store import audit
from service.store.models import AuditEntry, EraserVersion, Job

Action = Literal[
    "generation.accepted",
    "generation.settled",
    "generation.deleted",
    "training.accepted",
    "training.settled",
    "evaluation.accepted",
    "evaluation.settled",
    "eraser.imported",
    "eraser.activated",
    "eraser.retired",
    "eraser.rolled_back",
    "eraser.deleted",
    "alias.put",
    "alias.deleted",
    "policy.put",
    "policy.deleted",
    "gate.put",
    "gate.deleted",
    "key.created",
    "key.changed",
    "key.rotated",
    "key.webhook_secret_rotated",
    "key.revoked",
]


def record(session: Session, action: Action, subject: str, details: Mapping[str, Any], *, actor: str | None) -> None:
    """`actor` is the id of a key; None for the service itself."""
    head = audit.lock_head(session)
    entry = {
        "sequence": head.sequence + 1,
        "at": datetime.now(UTC).isoformat(timespec="microseconds"),
        "actor": actor,
        "action": action,
        "subject": subject,
        "details": dict(details),
        "previous_sha256": head.sha256,
    }
    audit.append(session, AuditEntry(**entry, sha256=digest(entry)))


def accepted_generation(session: Session, job: Job, planned: Plan, *, keep_prompt: bool) -> None:
    details = planned.model_dump(include={"policies", "seed", "model", "encoder_fingerprint"})
    details["erase"] = [eraser.model_dump(exclude={"layer"}) for eraser in planned.erase]
    details["fallbacks"] = [fallback.model_dump() for fallback in planned.fallbacks]
    details["checks"] = [check.model_dump() for check in planned.checks]
    details["prompt_sha256"] = hashlib.sha256(planned.prompt.encode()).hexdigest()
    if keep_prompt:
        details["prompt"] = planned.prompt
    record(session, "generation.accepted", job.id, details, actor=job.key_id)


def accepted_training(session: Session, job: Job, row: EraserVersion) -> None:
    names = ("method", "model", "encoder_fingerprint")
    details = {"job": job.id, "seed": job.plan["seed"], **{name: getattr(row, name) for name in names}}
    record(session, "training.accepted", eraser_name(row), details, actor=job.key_id)


def accepted_evaluation(session: Session, job: Job, row: EraserVersion) -> None:
    details = {"job": job.id, "seed": job.plan["seed"], "model": row.model, "digest": row.digest}
    record(session, "evaluation.accepted", eraser_name(row), details, actor=job.key_id)


def settled(session: Session, job: Job, *, actor: str | None = None) -> None:
    """A job came to its end; whoever withdrew it is the actor."""
    result = job.result or {}
    details: dict[str, Any] = {"status": job.status, "attempt": job.attempt, "error": job.error_code}
    if job.kind == "generate":
        record(session, "generation.settled", job.id, {**details, "video_sha256": result.get("video_sha256")}, actor=actor)
    else:
        name = f"{job.plan['concept']}@{job.plan['version']}"
        action: Action = "training.settled" if job.kind == "train" else "evaluation.settled"
        record(session, action, name, {**details, "job": job.id, "digest": result.get("digest")}, actor=actor)


def eraser_name(row: EraserVersion) -> str:
    return f"{row.concept}@{row.version}"
