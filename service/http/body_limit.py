"""Bodies larger than a call takes are refused before they are read, or while they are.

Starlette's own limit answers in plain text whatever the application says; every error here has the same body.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import RequestError
from service.http.handlers import error_response


class BodyLimit:
    """`max_bytes` for every path but those in `larger`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._max_bytes)
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > limit:
            message = f"the body has {declared[:20]} bytes; this call takes {limit}"
            await error_response(RequestError("payload_too_large", message))(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:  # without a declared length, in chunks
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise HTTPException(413)
            return message

        await self._app(scope, counted, send)
