"""The models served here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from service.deps import CallerDep, GatewayDep
from service.domain.text import Text
from service.http.handlers import responses
from service.schemas.models import ModelDetail, Models
from service.served import model_detail, served_models

router = APIRouter(tags=["models"], responses=responses("unauthorized", "key_expired", "database_unavailable"))


@router.get("/models", summary="Models, their limits and defaults")
def list_models(gateway: GatewayDep, caller: CallerDep) -> Models:
    """Requests must fit these numbers. A model whose workers are away still accepts requests; they wait."""
    return Models(data=served_models(gateway))


@router.get(
    "/models/{id:path}",
    responses=responses("invalid_text", "model_not_found", "model_not_ready"),
    summary="One model, and what it knows",
)
def get_model(id: Annotated[Text, Path(max_length=200)], gateway: GatewayDep, caller: CallerDep) -> ModelDetail:  # noqa: A002
    """Its limits and defaults, and for a model of a small world, such as the miniature, all that it can draw. An id may have a
    slash, as `Wan-AI/Wan2.2-TI2V-5B-Diffusers` has."""
    return model_detail(gateway, id)
