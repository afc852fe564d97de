"""API keys, for operators."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter

from service.audit import record
from service.auth import Role, new_key
from service.deps import GatewayDep, OperatorDep
from service.errors import MissingError, StateError
from service.handlers import responses
from service.schemas.keys import CreatedKey, Key, KeyRequest, Keys
from service.store import keys
from service.store.models import ApiKey

router = APIRouter(
    prefix="/keys", tags=["keys"], responses=responses("unauthorized", "forbidden", "invalid_request", "database_unavailable")
)


@router.get("", summary="Every valid key, without its secret")
def list_keys(gateway: GatewayDep, caller: OperatorDep) -> Keys:
    with gateway.database.read() as session:
        return Keys(data=[Key(**_fields(key)) for key in keys.list_valid(session)])


@router.post("", status_code=201, responses=responses("invalid_json", "unknown_field", "invalid_text"), summary="Make a key")
def create_key(request: KeyRequest, gateway: GatewayDep, caller: OperatorDep) -> CreatedKey:
    """The answer is the only place where the whole key is ever shown."""
    made = new_key()
    with gateway.database.write() as session:
        key = keys.insert(session, key_id=made.key_id, name=request.name, role=request.role, secret_sha256=made.secret_sha256)
        record(session, "key.created", key.id, {"name": key.name, "role": key.role}, actor=caller.key_id)
    return CreatedKey(key=made.token, **_fields(key))


@router.delete("/{id}", status_code=204, responses=responses("not_found", "invalid_state"), summary="Revoke a key")
def delete_key(id: str, gateway: GatewayDep, caller: OperatorDep) -> None:  # noqa: A002
    """From now on it opens nothing. What was asked for with it stays. The last operator's key cannot be revoked."""
    with gateway.database.write() as session:
        key = keys.find_valid(session, id) if id.isalnum() and id.isascii() else None
        if key is None:
            raise MissingError("not_found", f"no key {id[:80]!a}: GET /keys lists them")
        if key.role == "operator" and keys.count_operators(session) == 1:
            raise StateError("invalid_state", "this is the last operator's key: make another one first")
        keys.revoke(session, key)
        record(session, "key.revoked", key.id, {"name": key.name, "role": key.role}, actor=caller.key_id)


def _fields(key: ApiKey) -> dict[str, object]:
    return {"id": key.id, "name": key.name, "role": cast(Role, key.role), "created_at": key.created_at}
