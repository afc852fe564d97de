"""Rows as clients see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from urllib.parse import quote

from service.domain.gate import Thresholds
from service.erasers.gates import gate_of
from service.schemas.aliases import Alias
from service.schemas.base import JobError, Page, Progress
from service.schemas.erasers import Concept, Eraser, EraserLinks, Evaluation
from service.schemas.gates import Gate, GateThresholds
from service.schemas.generations import Generation, GenerationLinks, Plan, Webhook
from service.schemas.interactions import Interaction
from service.schemas.policies import Policy, PolicyRules
from service.store.models import ConceptGate, EraserAlias, EraserVersion, Job, PolicyVersion, WebhookDelivery
from workers import contract

Deliveries = Mapping[str, WebhookDelivery]
"""By the id of the job: `store.webhooks.of_jobs`."""
NO_DELIVERIES: Deliveries = {}


def generation(job: Job, progress: Progress | None = None, *, deliveries: Deliveries = NO_DELIVERIES) -> Generation:
    path = f"/generations/{job.id}"
    plan = Plan.model_validate(job.plan)
    return Generation(
        id=job.id,
        status=job.status,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        attempt=job.attempt,
        metadata=job.labels,
        webhook=webhook(job, deliveries),
        progress=progress,
        error=_error(job),
        receipt=job.result,
        links=GenerationLinks(self=path, video=f"{path}/video", events=f"{path}/events", receipt=f"{path}/receipt"),
        **{name: getattr(plan, name) for name in Plan.model_fields if name != "encoder_fingerprint"},
    )


def webhook(job: Job, deliveries: Deliveries) -> Webhook | None:
    if job.webhook_url is None:
        return None
    row = deliveries.get(job.id)
    return Webhook(
        url=job.webhook_url,
        attempts=row.attempts if row else 0,
        delivered_at=row.delivered_at if row else None,
        next_attempt_at=row.due_at if row else None,
        last_error=row.last_error if row else None,
    )


def generations(jobs: Sequence[Job], limit: int, *, deliveries: Deliveries = NO_DELIVERIES) -> Page[Generation]:
    """Up to `limit` of the jobs, of which there is one more where another page follows."""
    shown = jobs[:limit]
    next_cursor = shown[-1].id if len(jobs) > limit else None
    return Page[Generation](data=[generation(job, deliveries=deliveries) for job in shown], next_cursor=next_cursor)


JobsById = Mapping[str, Job]
"""Trainings and evaluations: `store.erasers.jobs_of`."""
ProgressById = Mapping[str, Progress]
"""Of running jobs, by their ids."""


def eraser(row: EraserVersion, known: JobsById, progress: ProgressById | None = None) -> Eraser:
    """`known` has the version's training, unless it came with the model or was imported, and its last evaluation."""
    progress = progress or {}
    job = known.get(row.job_id or "")
    path = f"/erasers/{quote(row.concept, safe='')}/{row.version}"
    return Eraser(
        concept=row.concept,
        version=row.version,
        status=row.status,
        method=row.method,
        model=row.model,
        encoder_fingerprint=row.encoder_fingerprint,
        digest=row.digest,
        layer=row.layer,
        strength=row.strength,
        minimum_strength=row.minimum_strength,
        evaluation=row.evaluation,
        claimed_evaluation=row.claimed_evaluation,
        evaluation_job=_evaluation(known.get(row.evaluation_job_id or ""), progress),
        config=row.config,
        created_at=row.created_at,
        activated_at=row.activated_at,
        override_reason=row.override_reason,
        progress=progress.get(row.job_id or ""),
        error=_error(job) if job else None,
        links=EraserLinks(
            self=path,
            report=f"{path}/report",
            events=f"{path}/events",
            artifact=f"{path}/artifact",
            generations=f"{path}/generations",
            evaluate=f"{path}/evaluate",
            cancel=f"{path}/cancel",
        ),
    )


def _evaluation(job: Job | None, progress: ProgressById) -> Evaluation | None:
    if job is None:
        return None
    return Evaluation(
        id=job.id,
        status=job.status,
        created_at=job.created_at,
        finished_at=job.finished_at,
        progress=progress.get(job.id),
        error=_error(job),
    )


def concepts(
    rows: Sequence[EraserVersion], known: JobsById, aliases: Mapping[str, Sequence[str]], progress: ProgressById | None = None
) -> list[Concept]:
    """`rows` are ordered by concept, `aliases` are by concept."""
    return [
        Concept(
            concept=name,
            aliases=list(aliases.get(name, ())),
            versions=[eraser(row, known, progress) for row in versions],
        )
        for name, versions in groupby(rows, key=lambda row: row.concept)
    ]


def alias(row: EraserAlias) -> Alias:
    return Alias(alias=row.alias, concept=row.concept, created_by=row.created_by, created_at=row.created_at)


def policy(row: PolicyVersion) -> Policy:
    return Policy(
        name=row.name,
        version=row.version,
        rules=PolicyRules.model_validate(row.rules),
        created_by=row.created_by,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


def gate(row: ConceptGate, deployment: Thresholds) -> Gate:
    held = gate_of(row, deployment)
    return Gate(
        concept=row.concept,
        own=GateThresholds.model_validate(row.thresholds),
        thresholds=asdict(held.thresholds),
        sources=held.sources,
        deployment=asdict(deployment),
        set_by=row.set_by,
        set_at=row.set_at,
    )


def interaction(pair: contract.Interaction, active: Collection[str]) -> Interaction:
    """`active`: digests of the erasers that still are."""
    return Interaction(
        **pair.eraser.model_dump(),
        **pair.model_dump(exclude={"eraser"}),
        active=pair.eraser.digest in active,
        left=pair.left,
        other_left=pair.other_left,
    )


def _error(job: Job) -> JobError | None:
    return JobError(code=job.error_code, message=job.error_message or "") if job.error_code else None
