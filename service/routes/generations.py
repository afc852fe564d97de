"""`POST /generate`, and what became of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from service import views, withdraw
from service.acceptance.accept import accept_generation, plan_generation
from service.acceptance.idempotency import Claim, accept_once
from service.delivery import video_response, video_responses
from service.deps import CallerDep, GatewayDep, IdempotencyKeyHeader
from service.domain.states import JobStatus
from service.errors import StateError
from service.gateway import Gateway
from service.http.body import StrictRoute
from service.http.conditions import ConditionsDep
from service.http.handlers import responses
from service.owned import current_generation, deliveries_of, owned_generation
from service.schemas.base import Cursor, Limit, Page, Progress
from service.schemas.generations import GenerateRequest, Generation, Plan
from service.store import jobs, webhooks
from service.store.models import Job
from workers.contract import Receipt

router = APIRouter(
    route_class=StrictRoute,
    tags=["generations"], responses=responses("unauthorized", "key_expired", "invalid_request", "database_unavailable")
)

_REQUEST_ERRORS = responses(
    "invalid_json", "unauthorized", "key_expired", "model_not_found", "eraser_not_active", "eraser_wrong_encoder",
    "payload_too_large", "invalid_request", "unknown_field", "invalid_text", "empty_prompt", "prompt_too_long", "invalid_concept",
    "too_many_concepts", "duplicate_concept", "unknown_concept", "unknown_version", "invalid_strength", "not_verifiable",
    "invalid_size", "invalid_frames", "invalid_steps", "invalid_guidance", "invalid_metadata", "invalid_webhook_url",
    "invalid_idempotency_key", "idempotency_key_reused",
    "invalid_state", "policy_unsatisfied", "policy_forbids", "model_not_ready", "rate_limited", "too_many_queued", "queue_full",
    "database_unavailable",
)  # fmt: skip


@router.post(
    "/generate",
    status_code=202,
    response_model=Generation,
    responses={200: {"model": Plan, "description": "With `?dry_run=true`: what it comes to; nothing runs."}, **_REQUEST_ERRORS},
    summary="Generate a video without some concepts",
)
def generate(
    request: GenerateRequest,
    response: Response,
    gateway: GatewayDep,
    caller: CallerDep,
    idempotency_key: IdempotencyKeyHeader = None,
    dry_run: Annotated[bool, Query(description="Only tell the plan.")] = False,
) -> Generation | JSONResponse:
    """Returns as soon as the request is on record. Follow `links.events`, or ask `links.self`, until it is settled.

    Every concept in `erase` must have an active eraser for the model's text encoder; otherwise nothing is accepted, unless
    `on_missing` names a method that needs no training: `fallbacks` tells where it stands in. The versions are pinned now,
    by digest: activating another one later does not change this generation. The policies of the key are joined to it; what
    they demand acts whatever the request says.
    """
    if dry_run:
        return JSONResponse(plan_generation(gateway, caller, request).model_dump(mode="json"))
    claim = Claim.of(caller, idempotency_key, "POST /generate", request)
    accepted = accept_once(gateway.database, claim, lambda: accept_generation(gateway, caller, request, claim=claim))
    body = _view(gateway, accepted.job)
    response.headers.update({"location": body.links.self, **accepted.headers})
    return body


@router.get("/generations", summary="List generations, newest first")
def list_generations(
    gateway: GatewayDep,
    caller: CallerDep,
    status: JobStatus | None = None,
    cursor: Annotated[Cursor | None, Query()] = None,
    limit: Annotated[Limit, Query()] = 20,
) -> Page[Generation]:
    """Those of the caller's key; an operator sees all."""
    with gateway.database.read() as session:
        found = jobs.page(session, kind="generate", key_id=caller.sees_key, status=status, after=cursor, limit=limit + 1)
        deliveries = webhooks.of_jobs(session, found)
    return views.generations(found, limit, deliveries=deliveries)


@router.get("/generations/{id}", responses=responses("not_found"), summary="One generation")
def get_generation(id: str, gateway: GatewayDep, caller: CallerDep) -> Generation:  # noqa: A002
    return _view(gateway, *current_generation(gateway, caller, id))


@router.head("/generations/{id}/video", response_class=Response, responses=video_responses(), summary="About the video")
@router.get("/generations/{id}/video", response_class=Response, responses=video_responses(), summary="The video")
def get_video(id: str, gateway: GatewayDep, caller: CallerDep, asked: ConditionsDep) -> Response:  # noqa: A002
    """Compared with its receipt before the first byte is sent; its `ETag` is the receipt's `video_sha256`."""
    return video_response(gateway, owned_generation(gateway, caller, id), asked)


@router.get("/generations/{id}/receipt", responses=responses("not_found", "not_finished"), summary="What was applied")
def get_receipt(id: str, gateway: GatewayDep, caller: CallerDep) -> Receipt:  # noqa: A002
    """Which erasers acted, on how many tokens, how strongly the concept was present before and after, and the video's hash."""
    job = owned_generation(gateway, caller, id)
    if job.result is None:
        raise StateError("not_finished", f"there is no receipt: generation {id} is {job.status}")
    return Receipt.model_validate(job.result)


@router.post("/generations/{id}/cancel", responses=responses("not_found", "invalid_state"), summary="Cancel")
def cancel(id: str, gateway: GatewayDep, caller: CallerDep) -> Generation:  # noqa: A002
    """Canceled at once and for good: whatever a worker still does for it is never shown. A worker that runs it is told to
    stop, which it does within one step. Cancelling again changes nothing; a generation that has ended otherwise is refused."""
    job = withdraw.cancel(gateway, caller, owned_generation(gateway, caller, id))
    if job.status != "canceled":
        raise StateError("invalid_state", f"generation {id} is {job.status} and cannot be cancelled any more")
    return _view(gateway, job)


@router.delete("/generations/{id}", status_code=204, responses=responses("not_found"), summary="Delete")
def delete(id: str, gateway: GatewayDep, caller: CallerDep) -> None:  # noqa: A002
    """Its words, its video and its receipt. One that is not finished is cancelled first."""
    withdraw.delete(gateway, caller, owned_generation(gateway, caller, id))


def _view(gateway: Gateway, job: Job, progress: Progress | None = None) -> Generation:
    return views.generation(job, progress, deliveries=deliveries_of(gateway, [job]))
