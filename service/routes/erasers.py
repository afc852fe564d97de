"""The registry of erasers: train, look, activate, roll back, retire."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from service import versions, views, withdraw
from service.acceptance.accept import accept_training
from service.acceptance.evaluations import accept_evaluation
from service.acceptance.idempotency import Claim, accept_once
from service.acceptance.training_warnings import training_warnings
from service.deps import CallerDep, ConceptPath, GatewayDep, IdempotencyKeyHeader, OperatorDep, VersionPath
from service.domain.states import JobStatus
from service.domain.text import ConceptName
from service.erasers import registry
from service.erasers.gates import judge_version
from service.erasers.names import hint, how_to_train
from service.errors import MissingError
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.schemas.base import Cursor, Limit, Page
from service.schemas.erasers import (
    AcceptedTraining,
    ActivateRequest,
    Concept,
    Eraser,
    EvaluateRequest,
    GateVerdict,
    Report,
    RetiredEraser,
    RollbackRequest,
    TrainRequest,
)
from service.schemas.generations import Generation
from service.store import erasers, pinned, webhooks

router = APIRouter(
    route_class=StrictRoute,
    prefix="/erasers",
    tags=["erasers"],
    responses=responses("unauthorized", "key_expired", "invalid_request", "invalid_concept", "database_unavailable"),
)

_TRAIN_ERRORS = responses(
    "invalid_json", "unauthorized", "key_expired", "forbidden", "model_not_found", "invalid_state", "payload_too_large",
    "invalid_request",
    "unknown_field", "invalid_text", "invalid_concept", "invalid_pairs", "invalid_idempotency_key", "idempotency_key_reused",
    "unknown_method", "invalid_config", "alias_conflict", "model_not_ready", "rate_limited", "too_many_queued", "queue_full",
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
) -> AcceptedTraining:
    """A new version of the concept's eraser, in `training`. When it is trained and measured it is a `candidate`. `warnings` say
    what the gate will miss, for instance a detector that sees the concept in frames, and how to provide it."""
    claim = Claim.of(caller, idempotency_key, "POST /erasers", request)
    accepted = accept_once(gateway.database, claim, lambda: accept_training(gateway, caller, request, claim=claim))
    with gateway.database.read() as session:
        row = erasers.of_job(session, accepted.job.id)
        version = views.eraser(row, erasers.jobs_of(session, [row]))
        seconds = erasers.training_seconds(session, row)
    response.headers.update({"location": version.links.self, **accepted.headers})
    warnings = training_warnings(gateway.catalogue, row)
    return AcceptedTraining(**version.model_dump(), estimated_seconds=seconds, warnings=warnings)


@router.get("", summary="Every concept and its versions")
def list_erasers(
    gateway: GatewayDep,
    caller: CallerDep,
    cursor: Annotated[ConceptName | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[Limit, Query()] = 100,
) -> Page[Concept]:
    """By name of concept."""
    found = versions.page(gateway, after=cursor, limit=limit + 1)
    return Page[Concept](data=found[:limit], next_cursor=found[limit - 1].concept if len(found) > limit else None)


@router.get("/{concept}", responses=responses("not_found"), summary="One concept's versions")
def get_concept(concept: ConceptPath, gateway: GatewayDep, caller: CallerDep) -> Concept:
    found = versions.concept(gateway, concept)
    if found is None:
        with gateway.database.read() as session:
            meant = hint(session, concept)
        raise MissingError("not_found", f"no eraser for {concept!r}{meant}; train one: {how_to_train(concept)}")
    return found


@router.get("/{concept}/{version}", responses=responses("not_found"), summary="One version")
def get_version(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: CallerDep) -> Eraser:
    return versions.version(gateway, concept, version)


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
        claimed_evaluation=row.claimed_evaluation,
        gate=GateVerdict(**judged.as_dict()),
        interactions=[views.interaction(pair, judged.active) for pair in judged.interactions],
    )


@router.post(
    "/{concept}/{version}/evaluate",
    status_code=202,
    responses=responses(
        "invalid_json", "payload_too_large", "forbidden", "not_found", "not_finished", "invalid_state", "invalid_text",
        "invalid_pairs", "unknown_field", "rate_limited", "too_many_queued", "queue_full",
    ),
    summary="Measure a version again",
)  # fmt: skip
def evaluate(
    concept: ConceptPath,
    version: VersionPath,
    gateway: GatewayDep,
    caller: OperatorDep,
    request: EvaluateRequest | None = None,
) -> Eraser:
    """A trainer checks the artifact's tensors and measures the version on the model that is served here, as after a training. The
    new numbers replace `evaluation` and are what the gate judges; the version's state does not change. An artifact that turns
    out not to be a usable eraser makes a candidate `failed`."""
    accept_evaluation(gateway, caller, concept, version, request or EvaluateRequest())
    return versions.version(gateway, concept, version)


@router.post(
    "/{concept}/{version}/activate",
    responses=responses(
        "invalid_json", "payload_too_large", "forbidden", "not_found", "invalid_state", "not_evaluated", "gate_not_passed",
        "policy_needs_eraser",
    ),
    summary="Use a candidate from now on",
)  # fmt: skip
def activate(
    concept: ConceptPath,
    version: VersionPath,
    gateway: GatewayDep,
    caller: OperatorDep,
    request: ActivateRequest | None = None,
) -> Eraser:
    """Retires the version that was active for the same concept and text encoder. Its numbers, measured on this installation, must
    pass the gate, unless `{"override": true, "reason": "…"}` is sent. A version that a policy names stays until the policy names
    another."""
    with gateway.database.exclusive() as session:
        row = registry.find(session, concept, version)
        reason = None if request is None else request.reason
        registry.activate(session, row, gateway.thresholds, override_reason=reason, actor=caller.key_id)
    return versions.version(gateway, concept, version)


@router.post(
    "/{concept}/{version}/cancel",
    responses=responses("forbidden", "not_found", "invalid_state"),
    summary="Cancel its training or evaluation",
)
def cancel(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: OperatorDep) -> Eraser:
    """Cancels the training or the evaluation of a version, queued or running. A worker that runs it stops
    within one step. A version whose training is cancelled becomes `failed`, with the error code `cancelled`; cancelling an
    evaluation leaves the version as it was. Cancelling again changes nothing; a job that has ended otherwise is refused."""
    withdraw.cancel_eraser_job(gateway, caller, concept, version)
    return versions.version(gateway, concept, version)


@router.delete(
    "/{concept}/{version}",
    status_code=204,
    responses=responses("forbidden", "not_found", "invalid_state", "policy_needs_eraser"),
    summary="Delete a version that was never active",
)
def delete(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: OperatorDep) -> None:
    """Deletes a failed version or a candidate: its numbers, its training, and its artifact unless another version has the same
    one. The version number is never used again. An evaluation that has not ended is cancelled first."""
    withdraw.delete_version(gateway, caller, concept, version)


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
    return versions.version(gateway, concept, row.version)


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
    return RetiredEraser(**versions.version(gateway, concept, version).model_dump(), generations=generations)


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
