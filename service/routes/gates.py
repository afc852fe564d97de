"""Thresholds of the gate for single concepts, for operators."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter

from service import views
from service.deps import ConceptPath, GatewayDep, OperatorDep
from service.erasers import gates
from service.errors import ErrorCode, MissingError, RequestError
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.schemas.gates import Gate, Gates, GateThresholds
from service.store import gates as rows
from service.store.models import ConceptGate

router = APIRouter(
    route_class=StrictRoute,
    prefix="/gates",
    tags=["gates"],
    responses=responses("unauthorized", "key_expired", "forbidden", "database_unavailable"),
)

_OF_CONCEPT: tuple[ErrorCode, ...] = ("invalid_request", "invalid_concept", "invalid_text")


@router.get("", summary="The deployment's thresholds, and every concept's own")
def list_gates(gateway: GatewayDep, caller: OperatorDep) -> Gates:
    """By name of concept."""
    with gateway.database.read() as session:
        found = [views.gate(row, gateway.thresholds) for row in rows.every(session)]
    return Gates(deployment=asdict(gateway.thresholds), data=found)


@router.get("/{concept}", responses=responses(*_OF_CONCEPT, "not_found"), summary="One concept's own thresholds")
def get_gate(concept: ConceptPath, gateway: GatewayDep, caller: OperatorDep) -> Gate:
    with gateway.database.read() as session:
        return views.gate(_found(rows.get(session, concept), concept), gateway.thresholds)


@router.put(
    "/{concept}",
    responses=responses(*_OF_CONCEPT, "invalid_json", "payload_too_large", "alias_conflict"),
    summary="Set a concept's own thresholds",
)
def put_gate(concept: ConceptPath, request: GateThresholds, gateway: GatewayDep, caller: OperatorDep) -> Gate:
    """In the place of all that was set for it before; the concept need not have an eraser yet. They judge what is activated
    from now on, and retire nothing."""
    own = request.given()
    if not own:
        raise RequestError("invalid_request", "no threshold is given: set one at least, or DELETE the gate of this concept")
    with gateway.database.exclusive() as session:
        row = gates.put(session, concept, own, deployment=gateway.thresholds, actor=caller.key_id)
    return views.gate(row, gateway.thresholds)


@router.delete(
    "/{concept}", status_code=204, responses=responses(*_OF_CONCEPT, "not_found"), summary="Go by the deployment's thresholds"
)
def delete_gate(concept: ConceptPath, gateway: GatewayDep, caller: OperatorDep) -> None:
    with gateway.database.exclusive() as session:
        row = _found(rows.get(session, concept), concept)
        gates.remove(session, row, deployment=gateway.thresholds, actor=caller.key_id)


def _found(row: ConceptGate | None, concept: str) -> ConceptGate:
    if row is None:
        message = f"nothing is set for {concept!r}, which the deployment's thresholds judge: GET /gates has them"
        raise MissingError("not_found", message)
    return row
