"""The OpenAI video dialect: its request as one of ours, a generation as one of its videos.

Only words are translated here. What may be made and which erasers act is decided where it is for every generation.
"""

from __future__ import annotations

from collections.abc import Mapping

from service.acceptance.accept import accept_generation
from service.acceptance.idempotency import Claim
from service.auth import Caller
from service.domain.states import JobStatus
from service.errors import RequestError, ServiceError
from service.gateway import Gateway
from service.schemas.base import JobError, Progress
from service.schemas.generations import GenerateRequest, Plan, PromptRequest
from service.schemas.videos import Video, VideoRequest, VideoStatus
from service.store.models import Job
from service.views import Deliveries, webhook
from workers.contract import ModelCard

STATUSES: Mapping[JobStatus, VideoStatus] = {
    "queued": "queued",
    "running": "in_progress",
    "succeeded": "completed",
    "failed": "failed",
    "canceled": "failed",  # clients wait for ever, or stop in silence, on a word that they do not know
}
_AFTER_DENOISING = frozenset({"decode", "verify", "mp4", "store"})
_PARAMS: Mapping[str | None, str] = {"width": "size", "height": "size", "num_frames": "seconds"}


def accept_video(gateway: Gateway, caller: Caller, request: VideoRequest, *, claim: Claim | None = None) -> Job:
    """`accept_generation`, with errors that name the fields of this dialect."""
    native = generate_request(request, gateway.catalogue.card(request.model))
    try:
        return accept_generation(gateway, caller, native, claim=claim)
    except ServiceError as error:
        error.param = _PARAMS.get(error.param, error.param)
        raise


def generate_request(request: VideoRequest, card: ModelCard) -> GenerateRequest:
    width, height = request.size or (None, None)
    shared = {name: getattr(request, name) for name in PromptRequest.model_fields}
    return GenerateRequest(**shared, width=width, height=height, num_frames=_frames(request.seconds, card))


def _frames(seconds: int | None, card: ModelCard) -> int | None:
    """The smallest number of frames that the model makes and that lasts so long. 4 s at 24 frames a second, 4·k + 1: 97."""
    if seconds is None:
        return None
    wanted = seconds * card.default_frames_per_second
    steps = max(0, -((card.frames_offset - wanted) // card.frames_multiple))
    frames = card.frames_offset + card.frames_multiple * steps
    if frames > card.max_frames:
        most = f"{card.max_frames} frames at {card.default_frames_per_second} a second"
        raise RequestError(
            "invalid_seconds", f"{seconds} seconds are {frames} frames: {card.id} makes {most} at most", param="seconds"
        )
    return frames


def video(job: Job, progress: Progress | None, deliveries: Deliveries) -> Video:
    plan = Plan.model_validate(job.plan)
    return Video(
        id=job.id,
        created_at=int(job.created_at.timestamp()),
        completed_at=int(job.finished_at.timestamp()) if job.finished_at else None,
        model=plan.model,
        status=STATUSES[job.status],
        progress=_percent(job.status, progress),
        prompt=plan.prompt,
        seconds=str(plan.num_frames // plan.frames_per_second),
        size=f"{plan.width}x{plan.height}",
        error=JobError(code=job.error_code, message=job.error_message or "") if job.error_code else None,
        state=job.status,
        erase=plan.erase,
        fallbacks=plan.fallbacks,
        checks=plan.checks,
        policies=plan.policies,
        warnings=plan.warnings,
        num_frames=plan.num_frames,
        frames_per_second=plan.frames_per_second,
        seed=plan.seed,
        metadata=job.labels,
        webhook=webhook(job, deliveries),
        receipt=job.result,
    )


def _percent(status: JobStatus, progress: Progress | None) -> int:
    """Denoising is nearly all of the work. 100 is for a video that is there."""
    if status == "succeeded":
        return 100
    if status != "running" or progress is None:
        return 0
    if progress.stage in _AFTER_DENOISING:
        return 99
    if progress.stage != "denoise" or progress.step is None or not progress.total:
        return 0
    return max(0, min(99, 100 * progress.step // progress.total))
