"""What every request and every response has in common."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.domain.text import Text
from service.errors import ErrorCode, ErrorType

Item = TypeVar("Item")


class RequestBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ResponseBody(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class ErrorDetail(ResponseBody):
    code: ErrorCode
    message: str
    param: str | None = Field(description="the field at fault, for instance `erase[1].strength`")
    type: ErrorType


class ErrorBody(ResponseBody):
    error: ErrorDetail


class JobError(ResponseBody):
    """Why a job ended without a result."""

    code: str = Field(description="closed set, see `FailureCode` in the README", examples=["eraser_inactive"])
    message: str


class Progress(ResponseBody):
    """Where the running attempt is, as last heard of."""

    stage: str | None = Field(examples=["denoise"])
    step: int | None = Field(examples=[12])
    total: int | None = Field(examples=[30])


class Page(ResponseBody, Generic[Item]):
    """Newest first. Ask for the next page with `?cursor=<next_cursor>`."""

    data: list[Item]
    next_cursor: str | None


def at_most(limit: int, code: ErrorCode, message: str) -> BeforeValidator:
    """Refuse a list or object of more items before any of them is validated. `message` may use {count} and {limit}."""

    def check(value: object) -> object:
        if isinstance(value, list | dict) and len(value) > limit:
            raise PydanticCustomError(code, message, {"count": len(value), "limit": limit})
        return value

    return BeforeValidator(check)


Reason = Annotated[Text, AfterValidator(str.strip), StringConstraints(min_length=1, max_length=500)]
"""Why an operator makes an exception. What is left without outer white space has 1 to 500 characters."""
Cursor = Annotated[str, Field(pattern=r"^[a-z]{3,5}_[0-9a-f]{32}$", description="`next_cursor` of the page before")]
Limit = Annotated[int, Field(ge=1, le=100)]
