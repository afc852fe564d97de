"""Models and the health of the service."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.schemas.base import ErrorDetail, ResponseBody


class Model(ResponseBody):
    """What a model takes, as its worker says."""

    id: str
    default: bool = Field(description="of requests that name no model")
    ready: bool = Field(description="a worker that has loaded it is alive")
    family: str
    encoder_fingerprint: str
    encoder_layers: int
    encoder_d_model: int = Field(description="width of the text encoder's hidden states")
    size_multiple: int = Field(description="width and height are multiples of this, in pixels")
    min_size: int
    max_size: int
    frames_multiple: int = Field(description="num_frames = k · frames_multiple + frames_offset")
    frames_offset: int
    max_frames: int
    max_steps: int
    refused_steps: list[int] = Field(
        description="numbers of steps up to max_steps that are refused: the scheduler would not end on a clean video"
    )
    max_prompt_tokens: int
    default_width: int
    default_height: int
    default_num_frames: int
    default_num_inference_steps: int
    default_guidance_scale: float
    default_frames_per_second: int


class KnownWorld(ResponseBody):
    """What a model of a small world can draw: by name, the words that prompts may use for it."""

    objects: dict[str, list[str]]
    characters: dict[str, list[str]]
    styles: dict[str, list[str]]
    attributes: dict[str, list[str]] = Field(description="of any object")
    backgrounds: dict[str, list[str]]
    motions: dict[str, list[str]]


class ModelDetail(Model):
    """One model, with what it knows."""

    knows: KnownWorld | None = Field(description="all that it can draw; null for a model that is of no small world")


class Models(ResponseBody):
    data: list[Model]


CheckName = Literal["database", "redis", "artifacts", "worker"]
Check = Literal["ok", "missing"]


class Live(ResponseBody):
    status: Literal["ok"]


class Ready(ResponseBody):
    status: Literal["ready", "not_ready"]
    checks: dict[CheckName, Check]
    error: ErrorDetail | None = None
