"""API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from service.auth import Role
from service.schemas.base import RequestBody, ResponseBody
from service.text import Text


class KeyRequest(RequestBody):
    name: Annotated[Text, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)] = Field(examples=["web shop"])
    role: Role = "user"


class Key(ResponseBody):
    id: str
    name: str
    role: Role
    created_at: datetime


class CreatedKey(Key):
    key: str = Field(description="the whole key; shown this once, only its hash is kept")


class Keys(ResponseBody):
    data: list[Key]
