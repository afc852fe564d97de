"""The query of a call has the parameters that the call documents, each once. Installed once, for every route there is."""

from __future__ import annotations

from collections import Counter
from typing import cast

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from service.errors import RequestError


async def check_query(request: Request) -> None:
    """FastAPI reads the parameters that it knows, of several values the last, and passes over the rest."""
    if not request.query_params:
        return
    known = _parameters(cast(APIRoute, request.scope["route"]))
    for name, times in Counter(name for name, _ in request.query_params.multi_items()).items():
        shown = name[:80]
        if name not in known:
            there = f"there is: {', '.join(sorted(known))}" if known else "this call has none"
            raise RequestError("unknown_field", f"the query parameter {shown!r} is not known here; {there}", param=shown)
        if times > 1:
            raise RequestError("invalid_request", f"{shown}: it is in the query {times} times: send it once", param=shown)


def _parameters(route: APIRoute) -> frozenset[str]:
    return frozenset(field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, params.Query))
