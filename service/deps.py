"""What routes ask for: the gateway's parts, and who calls."""

from __future__ import annotations

import hmac
import re
from typing import Annotated, cast

from fastapi import Depends, Header, Path, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from service.auth import Caller, authenticate
from service.domain.text import normalise_concept
from service.errors import CallerError
from service.gateway import Gateway
from service.http.headers import IDEMPOTENCY_KEY

MAX_VERSION = 2**31 - 1

_bearer = HTTPBearer(auto_error=False, description="An API key: `ck_…`")


async def _gateway(request: Request) -> Gateway:  # async, because what is not goes through a thread
    return cast(Gateway, request.app.state.gateway)


GatewayDep = Annotated[Gateway, Depends(_gateway)]


def _caller(
    request: Request, gateway: GatewayDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    known: Caller | None = getattr(request.state, "caller", None)  # where `service.authentication` asked already
    return known or authenticate(gateway.database, credentials.credentials if credentials else None)


CallerDep = Annotated[Caller, Depends(_caller)]


def _operator(caller: CallerDep) -> Caller:
    if caller.role != "operator":
        raise CallerError("forbidden", "this key has the role `user`; this call needs the key of an operator")
    return caller


OperatorDep = Annotated[Caller, Depends(_operator)]


def metrics_reader(
    request: Request, gateway: GatewayDep, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Whoever has the token for metrics, or an operator's key."""
    token = gateway.metrics_token.get_secret_value().encode()
    if not (token and credentials and hmac.compare_digest(credentials.credentials.encode(), token)):
        _operator(_caller(request, gateway, credentials))


ConceptPath = Annotated[str, Path(examples=["parachute"]), AfterValidator(normalise_concept)]
VersionPath = Annotated[int, Path(ge=1, le=MAX_VERSION)]


def _idempotency_key(value: str) -> str:
    if not re.fullmatch(r"[!-~]{1,255}", value):
        raise PydanticCustomError(
            "invalid_idempotency_key", "{length} characters: 1 to 255 visible ASCII characters are taken", {"length": len(value)}
        )
    return value


IdempotencyKeyHeader = Annotated[
    Annotated[str, AfterValidator(_idempotency_key)] | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        description="Send a request again with the same key, and it is accepted once: the answer tells of the first job, "
        "with `Idempotent-Replayed: true`.",
    ),
]
