"""Authenticate a request, and count it against its key's rate, before its body is read.

FastAPI reads and parses bodies before it asks who is calling. This layer comes first for every call that sends a body, so that
work is done only for keys that are known and have requests left. Calls without a body are authenticated by their routes.

A call that creates something takes one from the key's rate in this process and gets it back unless it fails: the
rate of accepted calls is kept in SQL, exactly and for all gateways (`service.acceptance.limits`); here refused ones are bounded.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import exc as sql
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.acceptance.limits import give_back, take
from service.auth import Caller, authenticate
from service.errors import ServiceError
from service.gateway import Gateway
from service.http.handlers import database_unavailable, error_response

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
CREATING = frozenset({"/generate", "/erasers", "/v1/videos"})


class AttemptRates:
    """How many calls each key has tried lately, in this process. Thread-safe."""

    def __init__(self) -> None:
        self._full_at: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def take(self, caller: Caller) -> None:
        """Raises `LimitError` where the key's requests of the last minute are used up."""
        if caller.requests_per_minute is None:
            return
        with self._lock:
            before = self._full_at.get(caller.key_id)
            self._full_at[caller.key_id] = take(before, per_minute=caller.requests_per_minute, now=datetime.now(UTC))

    def give_back(self, caller: Caller) -> None:
        if caller.requests_per_minute is None:
            return
        with self._lock:
            self._full_at[caller.key_id] = give_back(self._full_at[caller.key_id], per_minute=caller.requests_per_minute)


class Authentication:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._attempts = AttemptRates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in METHODS_WITH_BODY:
            await self._app(scope, receive, send)
            return
        gateway = cast(Gateway, scope["app"].state.gateway)
        creating = scope["path"] in CREATING
        try:
            caller = await run_in_threadpool(authenticate, gateway.database, _bearer_token(Headers(scope=scope)))
            if creating:
                self._attempts.take(caller)
        except ServiceError as refused:
            await error_response(refused)(scope, receive, send)
            return
        except (sql.OperationalError, sql.InterfaceError, sql.TimeoutError) as error:
            await database_unavailable(error)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        status = 500

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if creating and status < 400:
                self._attempts.give_back(caller)


def _bearer_token(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
