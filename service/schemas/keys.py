"""API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from service.auth import Role
from service.schemas.base import RequestBody, ResponseBody
from service.text import Text
from service.turns import Priority

Name = Annotated[Text, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Most = Annotated[int, Field(ge=1, le=2**31 - 1)] | None


class KeyLimits(RequestBody):
    """Null is no limit."""

    requests_per_minute: Most = Field(
        default=None, description="creating calls that are accepted: so many at once, refilled evenly"
    )
    max_running: Most = Field(default=None, description="jobs at workers at once; others of the key wait")
    max_queued: Most = Field(default=None, description="queued jobs; another is refused")
    max_trainings: Most = Field(default=None, description="trainings at workers at once; others of the key wait")


class KeyRequest(RequestBody):
    name: Name = Field(examples=["web shop"])
    role: Role = "user"
    priority: Priority = Field(default="normal", description="the jobs of a higher priority go first")
    limits: KeyLimits = Field(default=KeyLimits(), description="what is left out is as the settings `CLEARWAY_KEY_…` say")


class KeyChange(RequestBody):
    """What is left out stays."""

    name: Name | None = None
    priority: Priority | None = None
    limits: KeyLimits = Field(default=KeyLimits(), description="what is left out stays; null takes a limit away")


class Key(ResponseBody):
    id: str
    name: str
    role: Role
    priority: Priority
    limits: KeyLimits
    created_at: datetime


class CreatedKey(Key):
    key: str = Field(description="the whole key; shown this once, only its hash is kept")


class Keys(ResponseBody):
    data: list[Key]
