"""The models served here."""

from __future__ import annotations

from fastapi import APIRouter

from service.deps import CallerDep, GatewayDep
from service.handlers import responses
from service.schemas.models import Model, Models

router = APIRouter(tags=["models"], responses=responses("unauthorized", "database_unavailable"))


@router.get("/models", summary="Models, their limits and defaults")
def list_models(gateway: GatewayDep, caller: CallerDep) -> Models:
    """Requests must fit these numbers. A model whose workers are away still accepts requests; they wait."""
    alive = {worker.model for worker in gateway.flight.workers() if worker.kind == "generate" and worker.state != "loading"}
    return Models(
        data=[
            Model(
                **card.model_dump(exclude={"schema_version"}),
                default=card.id == gateway.catalogue.default_model,
                ready=card.id in alive,
            )
            for card in gateway.catalogue.cards()
        ]
    )
