"""The models of this installation, as clients see them."""

from __future__ import annotations

from service.gateway import Gateway
from service.schemas.models import KnownWorld, Model, ModelDetail
from workers.contract import ModelCard


def served_models(gateway: Gateway) -> list[Model]:
    """By id."""
    ready = _ready(gateway)
    return [_model(gateway, card, ready) for card in gateway.catalogue.cards()]


def served_model(gateway: Gateway, model: str) -> Model:
    """Raises `model_not_found` or `model_not_ready`."""
    return _model(gateway, gateway.catalogue.card(model), _ready(gateway))


def model_detail(gateway: Gateway, model: str) -> ModelDetail:
    """Raises `model_not_found` or `model_not_ready`."""
    card = gateway.catalogue.card(model)
    knows = None if card.knows is None else KnownWorld(**card.knows.model_dump(mode="json"))
    return ModelDetail(**_model(gateway, card, _ready(gateway)).model_dump(), knows=knows)


def _ready(gateway: Gateway) -> set[str]:
    """A model is ready while a worker that has loaded it is alive."""
    return {worker.model for worker in gateway.flight.workers() if worker.kind == "generate" and worker.state != "loading"}


def _model(gateway: Gateway, card: ModelCard, ready: set[str]) -> Model:
    default = card.id == gateway.catalogue.default_model
    return Model(**card.model_dump(exclude={"schema_version", "knows", "words"}), default=default, ready=card.id in ready)
