"""The query of a call has the parameters that the call documents, each once. Installed once, for every route there is."""

from __future__ import annotations

from typing import cast

from fastapi import Request, params
from fastapi.dependencies.utils import get_flat_params
from fastapi.routing import APIRoute

from service.errors import RequestError
from service.http.once import check_once


async def check_query(request: Request) -> None:
    """FastAPI reads the parameters that it knows, of several values the last, and passes over the rest."""
    if not request.query_params:
        return
    known = _parameters(cast(APIRoute, request.scope["route"]))
    names = [name for name, _ in request.query_params.multi_items()]
    for name in names:
        if name not in known:
            shown = name[:80]
            there = f"there is: {', '.join(sorted(known))}" if known else "this call has none"
            raise RequestError("unknown_field", f"the query parameter {shown!r} is not known here; {there}", param=shown)
    check_once(names, "the query")


def _parameters(route: APIRoute) -> frozenset[str]:
    return frozenset(field.alias for field in get_flat_params(route.dependant) if isinstance(field.field_info, params.Query))
