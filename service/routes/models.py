"""The models served here."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import CallerDep, GatewayDep
from service.http.handlers import responses
from service.schemas.models import Models
from service.served import served_models

router = APIRouter(tags=["models"], responses=responses("unauthorized", "key_expired", "database_unavailable"))


@router.get("/models", summary="Models, their limits and defaults")
def list_models(gateway: GatewayDep, caller: CallerDep) -> Models:
    """Requests must fit these numbers. A model whose workers are away still accepts requests; they wait."""
    return Models(data=served_models(gateway))
