"""API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.domain.roles import Role
from service.domain.text import Text
from service.domain.turns import Priority
from service.schemas.base import RequestBody, ResponseBody

Name = Annotated[Text, AfterValidator(str.strip), StringConstraints(min_length=1, max_length=200)]
MAX_GRACE_SECONDS = 30 * 24 * 3600


def _future(value: object) -> datetime:
    """JSON has no times, so `strict` would refuse them all."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        if moment is not None and moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
            if moment > datetime.now(UTC):
                return moment
    except (ValueError, OverflowError):
        pass
    raise PydanticCustomError("invalid_time", "a time to come, in ISO 8601 with its zone, is wanted: 2027-01-31T12:00:00Z")


Future = Annotated[AwareDatetime, BeforeValidator(_future)]
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
    expires_at: Future | None = Field(default=None, description="from then on it opens nothing; default never")
    priority: Priority = Field(default="normal", description="the jobs of a higher priority go first")
    limits: KeyLimits = Field(default=KeyLimits(), description="what is left out is as the settings `CLEARWAY_KEY_…` say")


class KeyChange(RequestBody):
    """What is left out stays."""

    name: Name | None = None
    expires_at: Future | None = Field(default=None, description="null: it does not expire any more")
    priority: Priority | None = None
    limits: KeyLimits = Field(default=KeyLimits(), description="what is left out stays; null takes a limit away")


class RotateRequest(RequestBody):
    grace_seconds: int = Field(default=0, ge=0, le=MAX_GRACE_SECONDS, description="so long the secret of before is valid too")


class Key(ResponseBody):
    id: str
    name: str
    role: Role
    priority: Priority
    limits: KeyLimits
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="to the minute")
    previous_until: datetime | None = Field(description="until when the secret before the last rotation is valid")


class CreatedKey(Key):
    key: str = Field(description="the whole key; shown this once, only its hash is kept")


class Keys(ResponseBody):
    data: list[Key]
