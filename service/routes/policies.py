"""Policies, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from service import views
from service.audit import record
from service.deps import MAX_VERSION, GatewayDep, OperatorDep
from service.erasers import aliases
from service.errors import MissingError, RequestError
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.policies.strengths import below_minimum, check_each_acts
from service.schemas.generations import EraseItem
from service.schemas.policies import Policies, Policy, PolicyRules
from service.store import keys, policies
from service.store.models import PolicyVersion

router = APIRouter(
    route_class=StrictRoute,
    prefix="/policies",
    tags=["policies"],
    responses=responses("unauthorized", "key_expired", "forbidden", "invalid_request", "database_unavailable"),
)

PolicyName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$", examples=["house-rules"])]

_PUT_ERRORS = responses(
    "invalid_json", "payload_too_large", "invalid_request", "unknown_field", "invalid_text", "invalid_concept",
    "too_many_concepts", "duplicate_concept", "invalid_strength",
)  # fmt: skip


@router.get("", summary="Every policy in force")
def list_policies(gateway: GatewayDep, caller: OperatorDep) -> Policies:
    """By name."""
    with gateway.database.read() as session:
        return Policies(data=[views.policy(row) for row in policies.in_force(session)])


@router.get("/{name}", responses=responses("not_found"), summary="One policy")
def get_policy(
    name: PolicyName,
    gateway: GatewayDep,
    caller: OperatorDep,
    version: Annotated[
        int | None, Query(ge=1, le=MAX_VERSION, description="also one that ended; default the one in force")
    ] = None,
) -> Policy:
    with gateway.database.read() as session:
        return views.policy(_found(policies.get(session, name, version), name))


@router.put("/{name}", responses=_PUT_ERRORS, summary="Make a policy, or its next version")
def put_policy(name: PolicyName, request: PolicyRules, gateway: GatewayDep, caller: OperatorDep) -> Policy:
    """In force from the next request on; what was accepted before is not touched. The erasers that it names need not be active
    yet: until they are, the requests of its keys are refused. An alias is put down as the concept that it means now.

    A strength below the smallest that was measured to erase the concept is refused, unless `strength_override_reason` says why.
    That is judged by the version that the policy names, or by those that are active now. Where a version with a higher minimum
    becomes active later, its minimum acts in the place of the policy's strength."""
    with gateway.database.exclusive() as session:
        for index, key_id in enumerate(request.keys or ()):  # a policy that binds nobody by mistake would hold nothing back
            if keys.find_valid(session, key_id) is None:
                param = f"keys[{index}]"
                raise RequestError("invalid_request", f"{param}: no valid key {key_id!r}: GET /keys lists them", param=param)
        named: dict[str, list[EraseItem]] = {
            field: aliases.resolve(session, getattr(request, field), param=field) for field in ("mandatory", "defaults")
        }
        for field, items in named.items():
            check_each_acts(field, items)
        weak = [found for field, items in named.items() for found in below_minimum(session, field, items)]
        if weak and request.strength_override_reason is None:
            raise weak[0].refusal()
        rules = request.model_copy(update=named).model_dump(mode="json")
        row = policies.put(session, name=name, rules=rules, created_by=caller.key_id)
        details = {"version": row.version, "rules": row.rules, "below_minimum": [one.as_dict() for one in weak]}
        record(session, "policy.put", name, details, actor=caller.key_id)
    return views.policy(row)


@router.delete("/{name}", status_code=204, responses=responses("not_found"), summary="End a policy")
def delete_policy(name: PolicyName, gateway: GatewayDep, caller: OperatorDep) -> None:
    """It binds no request from now on. Its versions can still be read by number."""
    with gateway.database.exclusive() as session:
        row = _found(policies.get(session, name), name)
        policies.end(session, row)
        record(session, "policy.deleted", name, {"version": row.version}, actor=caller.key_id)


def _found(row: PolicyVersion | None, name: str) -> PolicyVersion:
    if row is None:
        raise MissingError("not_found", f"no such policy or version of {name!r}: GET /policies lists those in force")
    return row
