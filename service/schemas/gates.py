"""Thresholds of the gate for single concepts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field

from service.domain.gate import Source
from service.schemas.base import RequestBody, ResponseBody

Share = Annotated[float, Field(ge=0, le=1)] | None
Ratio = Annotated[float, Field(ge=0)] | None


class GateThresholds(RequestBody):
    """What `PUT` takes: the thresholds of one concept that differ from the deployment's. The ranges are those of the settings
    `CLEARWAY_GATE_…`, which fill in what is left out or null."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"max_erased": 0.02, "max_synonym": 0.05}], "minProperties": 1})

    min_origin_rate: Share = None
    max_erased: Share = None
    max_synonym: Share = None
    min_kept: Share = None
    min_scene_kept: Share = None
    min_probe_before: Share = None
    max_probe_after: Share = None
    max_drift: Ratio = None
    max_interaction: Share = None
    min_kept_pair: Share = None

    def given(self) -> dict[str, float]:
        return {name: float(value) for name, value in self.model_dump(exclude_none=True).items()}


class Gate(ResponseBody):
    """What the versions of one concept must reach to become active."""

    concept: str
    own: GateThresholds = Field(description="what was set for this concept, stricter or laxer than the deployment's")
    thresholds: dict[str, float] = Field(description="what judges: its own, and the deployment's where it has none")
    sources: dict[str, Source]
    deployment: dict[str, float] = Field(description="what would judge without its own")
    set_by: str = Field(description="id of the operator's key")
    set_at: datetime


class Gates(ResponseBody):
    """Those of concepts that have one of their own, by name; all others are judged by the deployment's."""

    deployment: dict[str, float]
    data: list[Gate]
