"""Policies: what operators demand of the requests of some keys, or of all."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from service.domain.text import Text
from service.schemas.base import Reason, RequestBody, ResponseBody, at_most
from service.schemas.generations import Erase, OnMissing

MAX_LISTED = 1000
_AT_MOST_LISTED = at_most(MAX_LISTED, "invalid_request", "{count} items, but at most {limit} are taken")

Most = Annotated[int, Field(ge=1, le=2**31 - 1)] | None


class Limits(RequestBody):
    """The most that a request may ask for. Where it asks for nothing, the model's default is cut down to it."""

    width: Most = Field(default=None, description="pixels")
    height: Most = Field(default=None, description="pixels")
    num_frames: Most = None
    num_inference_steps: Most = None


class PolicyRules(RequestBody):
    """What `PUT` takes. Where several policies bind a key, each holds whatever the others say."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"mandatory": ["church"], "limits": {"num_frames": 17}},
                {"keys": ["0123456789ab"], "mandatory": [{"concept": "church", "version": 1, "strength": 2}]},
            ]
        }
    )

    keys: (
        Annotated[
            list[Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]], Field(min_length=1, max_length=MAX_LISTED), _AT_MOST_LISTED
        ]
        | None
    ) = Field(default=None, description="ids of the keys that it binds; default all, also operators' and those made later")
    mandatory: Erase = Field(
        default=[],
        description="act in every generation: this version, at least this strong; default the active one, as it is. Where the "
        "concept is `not_reduced` the generation fails, whatever the request says.",
    )
    defaults: Erase = Field(default=[], description="act where a request has no `erase` at all")
    strength_override_reason: Reason | None = Field(
        default=None,
        description="why strengths of this policy may be below the smallest that was measured to erase the concept "
        "(`minimum_strength` of the version); kept in the audit log. Without it such a strength is refused, and raised to the "
        "minimum where a later version has a higher one.",
    )
    max_strength_multiple: float | None = Field(
        default=None,
        ge=1,
        le=4,
        description="the most that a request may ask for, as a multiple of a version's own strength; default 2, and of several "
        "policies the smallest. More than 4 is not to be had: erasers that strong bring back what others took out.",
    )
    on_missing: OnMissing = Field(
        default="refuse",
        description="what becomes of a request when none of the erasers that this policy names for a concept is active: "
        "`refuse`, or the training-free method that stands in",
    )
    verify: bool = Field(default=False, description="every generation is verified, as if each request had asked for it")
    models: (
        Annotated[
            list[Annotated[Text, StringConstraints(min_length=1, max_length=200)]],
            Field(min_length=1, max_length=MAX_LISTED),
            _AT_MOST_LISTED,
        ]
        | None
    ) = Field(default=None, description="the models that may be used; default all")
    limits: Limits = Limits()


class Policy(ResponseBody):
    """One version of a policy. Immutable; the next `PUT` makes another."""

    name: str
    version: int
    rules: PolicyRules
    created_by: str = Field(description="id of the operator's key")
    created_at: datetime
    ended_at: datetime | None = Field(description="when a next version or `DELETE` ended it; null while it is in force")


class Policies(ResponseBody):
    """Those in force, by name."""

    data: list[Policy]
