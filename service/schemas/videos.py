"""The OpenAI video dialect: bodies as its clients send and read them.

Answers have fields of ours beside those of the dialect; its clients keep what they do not know.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from service.domain.states import JobStatus
from service.schemas.base import JobError, ResponseBody
from service.schemas.generations import (
    AppliedEraser,
    AppliedFallback,
    AppliedPolicy,
    PlannedCheck,
    PromptRequest,
    RequestWarning,
    Webhook,
)
from service.schemas.models import Model

VideoStatus = Literal["queued", "in_progress", "completed", "failed"]


def _size(value: object) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", value) if isinstance(value, str) else None
    if match is None:
        raise PydanticCustomError("invalid_size", "a size is width x height in pixels, as in 1280x704")
    return int(match[1]), int(match[2])


def _seconds(value: object) -> int:
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise PydanticCustomError("invalid_seconds", "a duration is whole seconds from 1, as in 4")
    return int(text)


def _no_input(value: object) -> None:
    if value is not None:
        raise PydanticCustomError("unsupported_input", "videos are made from text alone here: leave the reference out")


class VideoRequest(PromptRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"prompt": "a parachute falling down over snowy mountains", "erase": ["parachute"], "seconds": "1"}]
        }
    )

    size: Annotated[tuple[int, int], BeforeValidator(_size, json_schema_input_type=str)] | None = Field(
        default=None, description="`WxH` in pixels; default the model's"
    )
    seconds: Annotated[int, BeforeValidator(_seconds, json_schema_input_type=str | int)] | None = Field(
        default=None, description="whole seconds that the video lasts at least; default the model's"
    )
    input_reference: Annotated[None, BeforeValidator(_no_input)] = Field(default=None, description="refused")


class Video(ResponseBody):
    id: str
    object: Literal["video"] = "video"
    created_at: int = Field(description="Unix time in seconds, as the others")
    completed_at: int | None = Field(description="when it ended, however it did")
    expires_at: None = Field(default=None, description="videos stay until they are deleted")
    model: str
    status: VideoStatus = Field(description="canceled is `failed` with the error `cancelled`; `state` has the native word")
    progress: int = Field(ge=0, le=100)
    prompt: str
    seconds: str = Field(description="whole seconds; `num_frames` and `frames_per_second` are exact")
    size: str
    remixed_from_video_id: None = None
    error: JobError | None
    state: JobStatus
    erase: list[AppliedEraser]
    fallbacks: list[AppliedFallback]
    checks: list[PlannedCheck]
    policies: list[AppliedPolicy]
    warnings: list[RequestWarning]
    num_frames: int
    frames_per_second: int
    seed: int
    metadata: dict[str, str]
    webhook: Webhook | None
    receipt: dict[str, Any] | None = Field(description="what was applied; present when it completed")


class VideoPage(ResponseBody):
    """Ask for the next page with `?after=<last_id>`."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class DeletedVideo(ResponseBody):
    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class ListedModel(Model):
    object: Literal["model"] = "model"
    created: int = Field(default=0, description="unknown")
    owned_by: str = "clearway"


class ListedModels(ResponseBody):
    object: Literal["list"] = "list"
    data: list[ListedModel]
