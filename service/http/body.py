"""JSON bodies, parsed strictly: UTF-8 only, and every field of an object once.

Python keeps the last of two members with one name, other readers the first; what a proxy looked at must be what acts here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from service.errors import RequestError
from service.http.handlers import Refused
from service.http.once import check_once

_LARGE_BYTES = 32 * 2**10
"""Bodies from this size on are parsed in a thread, so that other requests go on meanwhile."""


def parse(body: bytes) -> Any:
    """The value of a JSON body. Raises `json.JSONDecodeError`, `RecursionError`, or `RequestError` for a repeated name."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError(f"not UTF-8: {error.reason}", "", error.start) from None
    return json.loads(text, object_pairs_hook=_once)


async def parse_body(body: bytes) -> Any:
    """As `parse`, without holding the event loop up for a large body."""
    return await run_in_threadpool(parse, body) if len(body) >= _LARGE_BYTES else parse(body)


class StrictRoute(APIRoute):
    """A route whose JSON body is parsed by `parse_body`. Pass it to routers as `route_class`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            try:
                self._json = await parse_body(await self.body())
            except RequestError as error:
                raise Refused(error) from None
            except RecursionError:
                raise Refused(RequestError("invalid_json", "the body is not JSON: it is nested too deeply")) from None
        return self._json


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        check_once((name for name, _ in pairs), "one object of the body")
    return found
