"""`GET /metrics`, for Prometheus."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST

from service.deps import GatewayDep, metrics_reader
from service.http.handlers import responses

router = APIRouter(tags=["metrics"], responses=responses("unauthorized", "forbidden", "database_unavailable"))


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "Prometheus text format."}},
    summary="Numbers for Prometheus",
)
def metrics(gateway: GatewayDep, reader: Annotated[None, Depends(metrics_reader)]) -> Response:
    """With the token of `CLEARWAY_METRICS_TOKEN`, which opens nothing else and needs no database; or an operator's key."""
    return Response(gateway.metrics.text(), media_type=CONTENT_TYPE_LATEST)
