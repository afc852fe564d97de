"""Aliases of concepts, made by operators, read by all."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator

from service import views
from service.deps import CallerDep, GatewayDep, OperatorDep
from service.domain.text import ConceptName, normalise_concept
from service.erasers import aliases
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.schemas.aliases import Alias, AliasRequest
from service.schemas.base import Limit, Page
from service.store import aliases as rows

router = APIRouter(
    route_class=StrictRoute,
    prefix="/aliases",
    tags=["erasers"],
    responses=responses("unauthorized", "key_expired", "invalid_request", "invalid_concept", "database_unavailable"),
)

AliasPath = Annotated[str, Path(examples=["nsfw"]), AfterValidator(normalise_concept)]


@router.get("", summary="Every alias")
def list_aliases(
    gateway: GatewayDep,
    caller: CallerDep,
    cursor: Annotated[ConceptName | None, Query(description="`next_cursor` of the page before")] = None,
    limit: Annotated[Limit, Query()] = 100,
) -> Page[Alias]:
    """By name."""
    with gateway.database.read() as session:
        found = rows.page(session, after=cursor, limit=limit + 1)
    next_cursor = found[limit - 1].alias if len(found) > limit else None
    return Page[Alias](data=[views.alias(row) for row in found[:limit]], next_cursor=next_cursor)


@router.get("/{alias}", responses=responses("not_found"), summary="One alias")
def get_alias(alias: AliasPath, gateway: GatewayDep, caller: CallerDep) -> Alias:
    with gateway.database.read() as session:
        return views.alias(aliases.find(session, alias))


@router.put(
    "/{alias}",
    responses=responses("invalid_json", "payload_too_large", "forbidden", "invalid_text", "unknown_concept", "alias_conflict"),
    summary="Make an alias, or let it mean another concept",
)
def put_alias(alias: AliasPath, request: AliasRequest, gateway: GatewayDep, caller: OperatorDep) -> Alias:
    """Holds from the next request on. What was accepted before, and policies that were put, have the concept and keep it."""
    with gateway.database.exclusive() as session:
        return views.alias(aliases.put(session, alias, request.concept, actor=caller.key_id))


@router.delete("/{alias}", status_code=204, responses=responses("forbidden", "not_found"), summary="Delete an alias")
def delete_alias(alias: AliasPath, gateway: GatewayDep, caller: OperatorDep) -> None:
    """Requests that name it are refused from then on."""
    with gateway.database.exclusive() as session:
        aliases.delete(session, alias, actor=caller.key_id)
