"""API keys, for operators."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast, get_args

from fastapi import APIRouter
from sqlalchemy.orm import Session

from service.audit import record
from service.auth import new_key
from service.deps import GatewayDep, OperatorDep
from service.domain.roles import Role
from service.errors import MissingError, StateError
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.schemas.keys import CreatedKey, Key, KeyChange, KeyLimits, KeyRequest, Keys, RotateRequest
from service.store import clock, keys
from service.store.models import ApiKey

router = APIRouter(
    route_class=StrictRoute,
    prefix="/keys",
    tags=["keys"],
    responses=responses("unauthorized", "key_expired", "forbidden", "invalid_request", "database_unavailable"),
)

_BODY_ERRORS = responses("invalid_json", "payload_too_large", "invalid_text")


@router.get("", summary="Every key that is not revoked, without its secret")
def list_keys(gateway: GatewayDep, caller: OperatorDep) -> Keys:
    with gateway.database.read() as session:
        return Keys(data=[Key(**_fields(key)) for key in keys.list_valid(session)])


@router.post("", status_code=201, responses=_BODY_ERRORS, summary="Make a key")
def create_key(request: KeyRequest, gateway: GatewayDep, caller: OperatorDep) -> CreatedKey:
    """The answer is the only place where the whole key is ever shown."""
    made = new_key()
    with gateway.database.write() as session:
        key = keys.insert(
            session,
            key_id=made.key_id,
            name=request.name,
            role=request.role,
            secret_sha256=made.secret_sha256,
            expires_at=request.expires_at,
            priority=request.priority,
            limits={**gateway.key_limits, **_set(request.limits)},
        )
        record(session, "key.created", key.id, _said(key), actor=caller.key_id)
    return CreatedKey(key=made.token, **_fields(key))


@router.patch(
    "/{id}",
    responses=responses("not_found", "invalid_state", "invalid_json", "payload_too_large", "invalid_text"),
    summary="Change a key",
)
def change_key(id: str, request: KeyChange, gateway: GatewayDep, caller: OperatorDep) -> Key:  # noqa: A002
    """Its name, end, priority or limits, from now on: what it has in the queue stays there, and goes on under the new limits.
    The last operator's key that does not expire stays so."""
    with gateway.database.exclusive() as session:
        key = _found(session, id)
        if request.expires_at is not None:
            _must_not_be_last(session, key)
        if "expires_at" in request.model_fields_set:
            key.expires_at = request.expires_at
        for name, value in request.model_dump(include={"name", "priority"}, exclude_none=True).items():
            setattr(key, name, value)
        for limit, most in _set(request.limits).items():
            setattr(key, limit, most)
        record(session, "key.changed", key.id, _said(key), actor=caller.key_id)
    gateway.window.fill()
    return Key(**_fields(key))


@router.post(
    "/{id}/rotate",
    responses=responses("not_found", "invalid_state", "invalid_json", "payload_too_large"),
    summary="Give a key another secret",
)
def rotate_key(id: str, gateway: GatewayDep, caller: OperatorDep, request: RotateRequest | None = None) -> CreatedKey:  # noqa: A002
    """The same key, with its jobs, policies and limits. The secret of before opens nothing from now on, or from the end of
    `grace_seconds` on; one from before an earlier rotation ends at once."""
    grace = timedelta(seconds=request.grace_seconds if request else 0)
    with gateway.database.exclusive() as session:
        key = _found(session, id)
        now = clock.now(session)
        if key.expires_at is not None and key.expires_at <= now:
            raise StateError("invalid_state", "this key has expired, with any secret: PATCH its `expires_at` first")
        made = new_key(key.id)
        keys.rotate(session, key, secret_sha256=made.secret_sha256, previous_until=now + grace)
        details = {"name": key.name, "role": key.role, "grace_seconds": int(grace.total_seconds())}
        record(session, "key.rotated", key.id, details, actor=caller.key_id)
    return CreatedKey(key=made.token, **_fields(key))


@router.delete("/{id}", status_code=204, responses=responses("not_found", "invalid_state"), summary="Revoke a key")
def delete_key(id: str, gateway: GatewayDep, caller: OperatorDep) -> None:  # noqa: A002
    """From now on it opens nothing. What was asked for with it stays. The last operator's key that does not expire stays too."""
    with gateway.database.exclusive() as session:
        key = _found(session, id)
        _must_not_be_last(session, key)
        keys.revoke(session, key)
        record(session, "key.revoked", key.id, {"name": key.name, "role": key.role}, actor=caller.key_id)


def _found(session: Session, key_id: str) -> ApiKey:
    """The key, which nobody else changes meanwhile."""
    key = keys.find_valid(session, key_id) if key_id.isalnum() and key_id.isascii() else None
    if key is None:
        raise MissingError("not_found", f"no key {key_id[:80]!a}: GET /keys lists them")
    return keys.lock(session, key.id)


def _must_not_be_last(session: Session, key: ApiKey) -> None:
    """Operators' keys that expire do not count: a service without any other could not be governed some day."""
    if key.role == "operator" and key.expires_at is None and keys.count_lasting_operators(session) == 1:
        raise StateError("invalid_state", "this is the last operator's key that does not expire: make another one first")


def _set(limits: KeyLimits) -> dict[keys.LimitName, int | None]:
    return {name: getattr(limits, name) for name in get_args(keys.LimitName) if name in limits.model_fields_set}


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": cast(Role, key.role),
        "priority": key.priority,
        "limits": KeyLimits(**{name: getattr(key, name) for name in get_args(keys.LimitName)}),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "previous_until": key.previous_until,
    }


def _said(key: ApiKey) -> dict[str, Any]:
    """For the audit log: what holds from now on."""
    return Key(**_fields(key)).model_dump(mode="json", include={"name", "role", "expires_at", "priority", "limits"})
