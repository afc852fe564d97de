"""The outermost layer of the application: every request has an id, a log line, and a place in the metrics.

The id is the client's `x-request-id` where that is one, else a new one; it is on the answer and on every log line of the request.
"""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.headers import REQUEST_ID
from service.logs import begin_request
from service.metrics import Metrics

logger = logging.getLogger(__name__)

UNMATCHED = "unmatched"
"""The route of requests that have none; their paths are anybody's invention, and no label."""

_FORM = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_CLIENT_CLOSED_REQUEST = 499
_LOOKED_AT_ALL_THE_TIME = frozenset({"/health/live", "/health/ready", "/metrics"})


class Access:
    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).getlist(REQUEST_ID)
        own = sent[0] if len(sent) == 1 and _FORM.fullmatch(sent[0]) else uuid.uuid4().hex
        begin_request(own)
        began = time.perf_counter()
        status, seconds = 0, 0.0

        async def answer(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
                MutableHeaders(scope=message)[REQUEST_ID] = own
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            status = status or 500
            raise
        finally:
            self._tell(scope, status or _CLIENT_CLOSED_REQUEST, seconds or time.perf_counter() - began)

    def _tell(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path_format", UNMATCHED)
        self._metrics.answered(scope["method"], route, status, seconds)
        level = logging.DEBUG if route in _LOOKED_AT_ALL_THE_TIME and status < 400 else logging.INFO
        fields = {"method": scope["method"], "route": route, "status": status, "seconds": round(seconds, 4)}
        job = scope.get("path_params", {}).get("id") if "/generations/" in route or "/videos/" in route else None
        logger.log(level, "request", extra=fields if job is None else {**fields, "job": job[:80]})
