"""What one version and another do together, in a version's report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.schemas.base import ResponseBody


class Interaction(ResponseBody):
    """With an eraser that was active when the training was accepted. All numbers are with both, at their own strengths."""

    concept: str = Field(description="of the other eraser")
    version: int
    digest: str
    strength: float | None
    active: bool = Field(description="whether it still is; the gate looks at no other")
    measured: Literal["frames", "embeddings"] | None
    reason: str | None = Field(description="why it was not measured")
    n: int = Field(description="clips of each concept, or prompts")
    origin_rate: float | None = Field(description="this version's concept, without erasers")
    erased_rate: float | None
    left: float | None = Field(description="erased_rate relative to origin_rate")
    other_origin_rate: float | None = Field(description="the other's concept, without erasers")
    other_erased_rate: float | None
    other_left: float | None
    kept_rate: float | None = Field(description="what is neither concept, relative to origin")
    scene_kept: float | None = Field(description="on frames: what else prompts with either concept ask for, relative to origin")
