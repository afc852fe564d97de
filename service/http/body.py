"""A JSON body says each thing once. Installed once, for every route that takes JSON.

Python keeps the last of two members with one name, other readers the first.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

from service.errors import RequestError
from service.http.once import check_once


async def check_body(request: Request) -> None:
    """Of calls whose body FastAPI has read; it passes over repetitions. What is no JSON was refused there."""
    if getattr(request.scope["route"], "body_field", None) is None:
        return
    if body := await request.body():
        try:
            parse(body)
        except (ValueError, RecursionError):
            return


def parse(body: bytes) -> Any:
    """As `json.loads`, but for a name that comes twice in one object. Raises `invalid_request` then."""
    return json.loads(body, object_pairs_hook=_once)


def unsupported_media_type(request: Request, expected: str) -> RequestError:
    """The error for a body whose `Content-Type` is missing or not one that the call reads."""
    sent = request.headers.get("content-type")
    found = "the request has no Content-Type" if sent is None else f"a body of type {sent[:80]!a} is not read here"
    return RequestError("unsupported_media_type", f"{found}: send {expected}", param="Content-Type")


def is_json(content_type: str) -> bool:
    """Whether FastAPI reads a body of this type as JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        check_once((name for name, _ in pairs), "one object of the body")
    return found
