"""Limits of a request's body: its length, and how slowly it may come.

A body that is too long is refused before it is read, or while it is. One that comes too slowly is refused with 408: it must be
complete within the deadline, which grows by a second for every `MIN_BYTES_PER_SECOND` received, so that large uploads may
take their time and a client that sends a byte now and then may not.

Starlette's own limit answers in plain text whatever the application says; every error here has the same body.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import RequestError
from service.http.handlers import Refused, error_response

MIN_BYTES_PER_SECOND = 32 * 2**10


class BodyLimit:
    """`max_bytes` for every path but those in `larger`."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, larger: Mapping[str, int], timeout_seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._larger = larger
        self._timeout_seconds = timeout_seconds

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
        received, complete = 0, False
        began = time.monotonic()

        async def counted() -> Message:
            nonlocal received, complete
            if complete:  # what comes next is the client's disconnect, for which a response may wait as long as it runs
                return await receive()
            left = self._timeout_seconds + received / MIN_BYTES_PER_SECOND - (time.monotonic() - began)
            try:
                with anyio.fail_after(max(left, 0)):
                    message = await receive()
            except TimeoutError:
                raise Refused(RequestError("request_timeout", f"the body came too slowly: {received} bytes so far")) from None
            received += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if received > limit:  # without a declared length, in chunks
                raise Refused(RequestError("payload_too_large", f"this call takes {limit} bytes"))
            return message

        await self._app(scope, counted, send)
