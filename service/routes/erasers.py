"""The registry of erasers: train, look, activate, roll back, retire."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service import views
from service.acceptance.accept import accept_training
from service.acceptance.idempotency import Claim, accept_once
from service.deps import CallerDep, ConceptPath, GatewayDep, IdempotencyKeyHeader, OperatorDep, VersionPath
from service.domain.states import JobStatus
from service.domain.text import ConceptName
from service.erasers import registry
from service.erasers.gates import judge_version
from service.erasers.names import hint
from service.errors import MissingError
from service.gateway import Gateway
from service.http.handlers import responses
from service.schemas.base import Cursor, Limit, Page
from service.schemas.erasers import (
    ActivateRequest,
    Concept,
    Eraser,
    GateVerdict,
    Report,
    RetiredEraser,
    RollbackRequest,
    TrainRequest,
)
from service.schemas.generations import Generation
from service.store import aliases, erasers, pinned, webhooks
from service.store.models import EraserVersion

router = APIRouter(
    prefix="/erasers",
    tags=["erasers"],
    responses=responses("unauthorized", "key_expired", "invalid_request", "invalid_concept", "database_unavailable"),
)

_TRAIN_ERRORS = responses(
    "invalid_json", "unauthorized", "key_expired", "forbidden", "model_not_found", "invalid_state", "payload_too_large",
    "invalid_request",
    "unknown_field", "invalid_text", "invalid_concept", "invalid_pairs", "invalid_idempotency_key", "idempotency_key_reused",
    "unknown_method", "alias_conflict", "model_not_ready", "rate_limited", "too_many_queued", "queue_full",
    "database_unavailable",
)  # fmt: skip


@router.post(
    "",
    status_code=202,
    responses=_TRAIN_ERRORS,
    summary="Train an eraser",
)
def train(
    request: TrainRequest,
    response: Response,
    gateway: GatewayDep,
    caller: OperatorDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Eraser:
    """A new version of the concept's eraser, in `training`. When it is trained and measured it is a `candidate`."""
    claim = Claim.of(caller, idempotency_key, "POST /erasers", request)
    accepted = accept_once(gateway.database, claim, lambda: accept_training(gateway, caller, request, claim=claim))
    with gateway.database.read() as session:
        row = erasers.of_job(session, accepted.job.id)
    body = views.eraser(row, accepted.job)
    response.headers.update({"location": body.links.self, **accepted.headers})
    return body


@router.get("", summary="Every concept and its versions")
def list_erasers(
    gateway: GatewayDep,
    caller: CallerDep,
    cursor: Annotated[ConceptName | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[Limit, Query()] = 100,
) -> Page[Concept]:
    """By name of concept."""
    with gateway.database.read() as session:
        rows = erasers.page(session, after=cursor, limit=limit + 1)
        trainings = erasers.trainings(session, rows)
        named = aliases.of_concepts(session, {row.concept for row in rows})
    found = views.concepts(rows, trainings, named)
    return Page[Concept](data=found[:limit], next_cursor=found[limit - 1].concept if len(found) > limit else None)


@router.get("/{concept}", responses=responses("not_found"), summary="One concept's versions")
def get_concept(concept: ConceptPath, gateway: GatewayDep, caller: CallerDep) -> Concept:
    with gateway.database.read() as session:
        rows = erasers.of_concept(session, concept)
        trainings = erasers.trainings(session, rows)
        named = aliases.of_concepts(session, [concept])
        if not rows:
            cure = f'train one: POST /erasers {{"concept": "{concept}"}}'
            raise MissingError("not_found", f"no eraser for {concept!r}{hint(session, concept)}; {cure}")
    return views.concepts(rows, trainings, named)[0]


@router.get("/{concept}/{version}", responses=responses("not_found"), summary="One version")
def get_version(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: CallerDep) -> Eraser:
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        job = erasers.trainings(session, [row]).get(row.job_id or "")
    if job is not None and row.status == "training":
        gateway.sweep.observe(job, polled=True)
        return _view(gateway, concept, version)
    return views.eraser(row, job)


@router.get("/{concept}/{version}/report", responses=responses("not_found"), summary="Its numbers, and the gate's verdict")
def get_report(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: CallerDep) -> Report:
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        judged = judge_version(session, row, gateway.thresholds)
    return Report(
        concept=row.concept,
        version=row.version,
        status=row.status,
        digest=row.digest,
        evaluation=row.evaluation,
        gate=GateVerdict(**judged.as_dict()),
        interactions=[views.interaction(pair, judged.active) for pair in judged.interactions],
    )


@router.post(
    "/{concept}/{version}/activate",
    responses=responses(
        "invalid_json", "payload_too_large", "forbidden", "not_found", "invalid_state", "gate_not_passed", "policy_needs_eraser"
    ),
    summary="Use a candidate from now on",
)
def activate(
    concept: ConceptPath,
    version: VersionPath,
    gateway: GatewayDep,
    caller: OperatorDep,
    request: ActivateRequest | None = None,
) -> Eraser:
    """Retires the version that was active for the same concept and text encoder. Its numbers must pass the gate, unless
    `{"override": true}` is sent. A version that a policy names stays until the policy names another."""
    with gateway.database.exclusive() as session:
        row = registry.find(session, concept, version)
        override = request is not None and request.override
        registry.activate(session, row, gateway.thresholds, override=override, actor=caller.key_id)
    return _view(gateway, concept, version)


@router.post(
    "/{concept}/rollback",
    responses=responses(
        "invalid_json", "payload_too_large", "forbidden", "not_found", "model_not_found", "model_not_ready", "invalid_text",
        "invalid_state", "no_previous_version", "eraser_wrong_encoder", "policy_needs_eraser",
    ),
    summary="Use the version from before again",
)  # fmt: skip
def roll_back(concept: ConceptPath, gateway: GatewayDep, caller: OperatorDep, request: RollbackRequest | None = None) -> Eraser:
    """Retires the version that is active for the model's text encoder, and activates the one that was before; where none is
    active, the one that was last. Twice is there and back again: to go further back, name the version."""
    request = request or RollbackRequest()
    card = gateway.catalogue.card(request.model)
    with gateway.database.exclusive() as session:
        row = registry.roll_back(session, concept, card.encoder_fingerprint, version=request.version, actor=caller.key_id)
    return _view(gateway, concept, row.version)


@router.post(
    "/{concept}/{version}/retire",
    responses=responses("forbidden", "not_found", "invalid_state", "policy_needs_eraser"),
    summary="Use it no more",
)
def retire(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: OperatorDep) -> RetiredEraser:
    """Requests that erase the concept are refused until another version is activated, unless they name what may stand in
    (`on_missing`). Accepted ones keep their pins; the answer tells how many there are. A version that a policy in force needs
    is not retired."""
    with gateway.database.exclusive() as session:
        row = registry.find(session, concept, version)
        registry.retire(session, row, actor=caller.key_id)
        generations = pinned.count(session, row)
    return RetiredEraser(**_view(gateway, concept, version).model_dump(), generations=generations)


@router.get(
    "/{concept}/{version}/generations",
    responses=responses("forbidden", "not_found"),
    summary="The generations that have it pinned, newest first",
)
def list_generations(
    concept: ConceptPath,
    version: VersionPath,
    gateway: GatewayDep,
    caller: OperatorDep,
    status: JobStatus | None = None,
    cursor: Annotated[Cursor | None, Query()] = None,
    limit: Annotated[Limit, Query()] = 20,
) -> Page[Generation]:
    """Of all keys, in every state; with `status=succeeded` the videos that were made with it."""
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        found = pinned.page(session, row, status=status, after=cursor, limit=limit + 1)
        deliveries = webhooks.of_jobs(session, found)
    return views.generations(found, limit, deliveries=deliveries)


def _view(gateway: Gateway, concept: str, version: int) -> Eraser:
    with gateway.database.read() as session:
        row: EraserVersion = registry.find(session, concept, version)
        job = erasers.trainings(session, [row]).get(row.job_id or "")
    progress = gateway.flight.progress(job.id) if job and row.status == "training" and job.status == "running" else None
    return views.eraser(row, job, progress)
