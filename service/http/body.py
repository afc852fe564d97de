"""A JSON body says each thing once. Installed once, for every route that takes JSON.

Python keeps the last of two members with one name, other readers the first.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request

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


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        check_once((name for name, _ in pairs), "one object of the body")
    return found
