"""The OpenAI video dialect, for clients that have one already: `OpenAI(base_url="…/v1", api_key="ck_…")`.

The same generations as of `/generate`, accepted by the same code; only words differ, and the answers' headers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from service import withdraw
from service.acceptance.idempotency import Claim, accept_once
from service.delivery import video_response, video_responses
from service.deps import CallerDep, GatewayDep, IdempotencyKeyHeader
from service.domain.text import Text
from service.gateway import Gateway
from service.http.conditions import ConditionsDep
from service.http.form import read_body
from service.http.handlers import responses
from service.owned import current_generation, deliveries_of, owned_generation, progress_of
from service.schemas.base import Cursor, Limit
from service.schemas.videos import DeletedVideo, ListedModel, ListedModels, Video, VideoPage, VideoRequest
from service.served import served_model, served_models
from service.store import jobs, webhooks
from service.store.models import Job
from service.videos import accept_video, video

router = APIRouter(
    prefix="/v1",
    tags=["OpenAI dialect"],
    responses=responses("unauthorized", "key_expired", "invalid_request", "database_unavailable"),
)

_POLL_MS, _POLL_MS_PER_WAITING, _MAX_POLL_MS = 1000, 100, 5000

_CREATE_ERRORS = responses(
    "invalid_json", "invalid_form", "unauthorized", "key_expired", "model_not_found", "eraser_not_active", "eraser_wrong_encoder",
    "invalid_state", "payload_too_large", "invalid_request", "unknown_field", "unsupported_input", "invalid_text",
    "empty_prompt", "prompt_too_long", "invalid_concept", "too_many_concepts", "duplicate_concept", "unknown_concept",
    "unknown_version", "invalid_strength", "not_verifiable", "invalid_size", "invalid_seconds", "invalid_steps",
    "invalid_guidance", "invalid_metadata", "invalid_webhook_url",
    "invalid_idempotency_key", "idempotency_key_reused", "policy_unsatisfied", "policy_forbids", "model_not_ready",
    "rate_limited", "too_many_queued", "queue_full", "database_unavailable",
)  # fmt: skip


async def _video_request(request: Request) -> VideoRequest:
    body = await read_body(request)
    try:
        return VideoRequest.model_validate(body)
    except ValidationError as error:
        raise RequestValidationError([{**first, "loc": ("body", *first["loc"])} for first in error.errors()]) from error


def _request_body() -> dict[str, Any]:
    """FastAPI cannot tell what a dependency reads."""
    schema = VideoRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    del schema["$defs"]  # those of `GenerateRequest`, which are among the components
    content = {media_type: {"schema": schema} for media_type in ("application/json", "multipart/form-data")}
    return {"requestBody": {"required": True, "content": content}}


@router.post("/videos", responses=_CREATE_ERRORS, openapi_extra=_request_body(), summary="Create a video")
def create(
    caller: CallerDep,  # first: nobody's body is read
    request: Annotated[VideoRequest, Depends(_video_request)],
    response: Response,
    gateway: GatewayDep,
    idempotency_key: IdempotencyKeyHeader = None,
) -> Video:
    """As `POST /generate`. `erase` and the other fields that the dialect lacks arrive through a client's `extra_body`."""
    claim = Claim.of(caller, idempotency_key, "POST /v1/videos", request)
    accepted = accept_once(gateway.database, claim, lambda: accept_video(gateway, caller, request, claim=claim))
    response.headers.update({**_poll_after(gateway, accepted.job), **accepted.headers})
    return video(accepted.job, progress_of(gateway, accepted.job), deliveries_of(gateway, [accepted.job]))


@router.get("/videos", summary="List videos")
def list_videos(
    gateway: GatewayDep,
    caller: CallerDep,
    after: Annotated[Cursor | None, Query(description="`last_id` of the page before")] = None,
    limit: Annotated[Limit, Query()] = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="by time of arrival")] = "desc",
) -> VideoPage:
    """Those of the caller's key, by whichever dialect they were made; an operator sees all."""
    oldest_first = order == "asc"
    with gateway.database.read() as session:
        found = jobs.page(
            session, kind="generate", key_id=caller.sees_key, after=after, limit=limit + 1, oldest_first=oldest_first
        )
        deliveries = webhooks.of_jobs(session, found)
    data = [video(job, progress_of(gateway, job), deliveries) for job in found[:limit]]
    return VideoPage(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(found) > limit,
    )


@router.get("/videos/{id}", responses=responses("not_found"), summary="One video")
def retrieve(id: str, response: Response, gateway: GatewayDep, caller: CallerDep) -> Video:  # noqa: A002
    job, progress = current_generation(gateway, caller, id)
    response.headers.update(_poll_after(gateway, job))
    return video(job, progress, deliveries_of(gateway, [job]))


@router.head("/videos/{id}/content", response_class=Response, responses=video_responses(), summary="About the video's bytes")
@router.get("/videos/{id}/content", response_class=Response, responses=video_responses(), summary="The video's bytes")
def download(
    id: str,  # noqa: A002
    gateway: GatewayDep,
    caller: CallerDep,
    asked: ConditionsDep,
    variant: Annotated[Literal["video"], Query(description="there are no thumbnails and no spritesheets")] = "video",
) -> Response:
    """As `GET /generations/{id}/video`."""
    return video_response(gateway, owned_generation(gateway, caller, id), asked)


@router.delete("/videos/{id}", responses=responses("not_found"), summary="Delete a video")
def delete(id: str, gateway: GatewayDep, caller: CallerDep) -> DeletedVideo:  # noqa: A002
    """Its words, its bytes and its receipt. One that is not finished is cancelled first."""
    withdraw.delete(gateway, caller, owned_generation(gateway, caller, id))
    return DeletedVideo(id=id)


@router.get("/models", summary="Models")
def list_models(gateway: GatewayDep, caller: CallerDep) -> ListedModels:
    """With the limits that `GET /models` tells."""
    return ListedModels(data=[ListedModel(**model.model_dump()) for model in served_models(gateway)])


@router.get("/models/{id:path}", responses=responses("invalid_text", "model_not_found", "model_not_ready"), summary="One model")
def retrieve_model(id: Annotated[Text, Path(max_length=200)], gateway: GatewayDep, caller: CallerDep) -> ListedModel:  # noqa: A002
    """An id may have a slash, as `Wan-AI/Wan2.2-TI2V-5B-Diffusers` has."""
    return ListedModel(**served_model(gateway, id).model_dump())


def _poll_after(gateway: Gateway, job: Job) -> dict[str, str]:
    """How long the clients' `poll` waits: longer in a long line. They go by the first answer, so it is never very long."""
    if job.status not in ("queued", "running"):
        return {}
    with gateway.database.read() as session:
        most = _MAX_POLL_MS // _POLL_MS_PER_WAITING
        waiting = jobs.count_before(session, job, most=most) if job.status == "queued" else 0
    return {"openai-poll-after-ms": str(min(_MAX_POLL_MS, _POLL_MS + _POLL_MS_PER_WAITING * waiting))}
