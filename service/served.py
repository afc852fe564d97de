"""The models of this installation, as clients see them."""

from __future__ import annotations

from service.gateway import Gateway
from service.schemas.models import Model


def served_models(gateway: Gateway) -> list[Model]:
    """By id. A model is ready while a worker that has loaded it is alive."""
    alive = {worker.model for worker in gateway.flight.workers() if worker.kind == "generate" and worker.state != "loading"}
    return [
        Model(
            **card.model_dump(exclude={"schema_version"}),
            default=card.id == gateway.catalogue.default_model,
            ready=card.id in alive,
        )
        for card in gateway.catalogue.cards()
    ]
