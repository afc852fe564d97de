"""What a key's webhooks are signed with."""

from __future__ import annotations

from fastapi import APIRouter

from service.audit import record
from service.deps import CallerDep, GatewayDep
from service.http.body import StrictRoute
from service.http.handlers import responses
from service.schemas.webhooks import WebhookSecret
from service.store import keys

router = APIRouter(
    route_class=StrictRoute,
    prefix="/webhook-secret",
    tags=["webhooks"],
    responses=responses("unauthorized", "key_expired", "database_unavailable"),
)


@router.get("", summary="What webhooks are signed with")
def get_secret(gateway: GatewayDep, caller: CallerDep) -> WebhookSecret:
    """Of the caller's own key, for whoever verifies deliveries: `whsec_…`, as libraries for Standard Webhooks and OpenAI's
    clients take it. It opens nothing."""
    with gateway.database.write() as session:
        return WebhookSecret(secret=keys.webhook_secret(session, caller.key_id))


@router.post("/rotate", summary="Sign with another secret")
def rotate_secret(gateway: GatewayDep, caller: CallerDep) -> WebhookSecret:
    """From now on, also what is due already. What a receiver refuses until it knows the new one is sent again."""
    with gateway.database.write() as session:
        secret = keys.rotate_webhook_secret(session, caller.key_id)
        record(session, "key.webhook_secret_rotated", caller.key_id, {}, actor=caller.key_id)
    return WebhookSecret(secret=secret)
