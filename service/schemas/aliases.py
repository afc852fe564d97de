"""Aliases: second names of concepts."""

from __future__ import annotations

from datetime import datetime

from pydantic import ConfigDict, Field

from service.domain.text import ConceptName
from service.schemas.base import RequestBody, ResponseBody


class AliasRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"concept": "nudity"}]})

    concept: ConceptName = Field(description="what the alias means: a concept that has an eraser, in whatever state")


class Alias(ResponseBody):
    alias: str
    concept: str
    created_by: str = Field(description="id of the operator's key")
    created_at: datetime
