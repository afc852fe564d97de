"""Liveness and readiness, without a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from service.deps import GatewayDep
from service.errors import UnavailableError
from service.gateway import Gateway
from service.http.handlers import error_body
from service.schemas.models import CheckName, Live, Ready

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="The process answers")
async def live() -> Live:  # on the event loop: it waits for no thread
    return Live(status="ok")


@router.get("/ready", responses={503: {"model": Ready}}, summary="A generation sent now would run")
def ready(gateway: GatewayDep, response: Response) -> Ready:
    """Database and Redis answer, the artifact store can be written, and a worker has loaded the default model. Requests are
    accepted also without Redis and workers, once the model's card is known; they wait."""
    checks: dict[CheckName, bool] = {name: check(gateway) for name, check in _CHECKS.items()}
    missing = [name for name, fine in checks.items() if not fine]
    error = error_body(UnavailableError("not_ready", f"missing: {', '.join(missing)}")).error if missing else None
    response.status_code = 503 if missing else 200
    return Ready(
        status="not_ready" if missing else "ready",
        checks={name: "ok" if fine else "missing" for name, fine in checks.items()},
        error=error,
    )


def _database(gateway: Gateway) -> bool:
    try:
        gateway.database.ping()
    except SQLAlchemyError:
        return False
    return True


def _worker(gateway: Gateway) -> bool:
    wanted = gateway.catalogue.default_model
    return any(
        worker.kind == "generate" and worker.model == wanted and worker.state != "loading" for worker in gateway.flight.workers()
    )


_CHECKS: Mapping[CheckName, Callable[[Gateway], bool]] = {
    "database": _database,
    "redis": lambda gateway: gateway.flight.ping(),
    "artifacts": lambda gateway: gateway.store_probe.writable(),
    "worker": _worker,
}
