"""Headers that have one value come once; a request that repeats one is refused before anything acts on either.

The server itself refuses lengths that contradict each other, in its own words.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import RequestError
from service.http.handlers import error_response
from service.http.once import check_once

REQUEST_ID = "x-request-id"
IDEMPOTENCY_KEY = "Idempotency-Key"
SINGLE = frozenset({"authorization", "content-length", "content-type", "last-event-id", IDEMPOTENCY_KEY.lower(), REQUEST_ID})


class SingleHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                check_once((name for name in Headers(scope=scope) if name in SINGLE), "the headers", "repeated_header")
            except RequestError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
