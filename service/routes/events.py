"""Progress of generations and trainings as server-sent events."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from service import views
from service.deps import CallerDep, ConceptPath, GatewayDep, VersionPath
from service.domain.states import TERMINAL
from service.erasers import registry
from service.gateway import Gateway
from service.http.events import Snapshot
from service.http.handlers import responses
from service.owned import owned_generation
from service.store import erasers, jobs, webhooks

router = APIRouter(responses=responses("unauthorized", "key_expired", "not_found"))

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/event-stream": {}},
        "description": "`started`, `stage` {stage}, `step` {stage, step, total}, `finished` | `failed` | `cancelled` as the "
        "worker says them, and last `settled` with the whole resource. Come back with `Last-Event-ID` after a break.",
    }
}
LastEventId = Annotated[str | None, Header(alias="Last-Event-ID")]


@router.get("/generations/{id}/events", tags=["generations"], responses=_STREAM, response_class=EventSourceResponse)
async def generation_events(
    id: str,  # noqa: A002
    gateway: GatewayDep,
    caller: CallerDep,
    last_event_id: LastEventId = None,
) -> EventSourceResponse:
    await run_in_threadpool(owned_generation, gateway, caller, id)

    def look() -> Snapshot | None:
        with gateway.database.read() as session:
            job = jobs.get(session, id, kind="generate")
            deliveries = {} if job is None else webhooks.of_jobs(session, [job])
        return None if job is None else Snapshot(views.generation(job, deliveries=deliveries), settled=job.status in TERMINAL)

    return gateway.events.respond(id, last_event_id=last_event_id, look=look)


@router.get("/erasers/{concept}/{version}/events", tags=["erasers"], responses=_STREAM, response_class=EventSourceResponse)
async def training_events(
    concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: CallerDep, last_event_id: LastEventId = None
) -> EventSourceResponse:
    job_id = await run_in_threadpool(_training_job, gateway, concept, version)

    def look() -> Snapshot:
        with gateway.database.read() as session:
            row = registry.find(session, concept, version)
            trainings = erasers.trainings(session, [row])
        return Snapshot(views.eraser(row, trainings.get(row.job_id or "")), settled=row.status != "training")

    return gateway.events.respond(job_id, last_event_id=last_event_id, look=look)


def _training_job(gateway: Gateway, concept: str, version: int) -> str:
    """The job whose events these are; one that came with the model has none, and settled at once."""
    with gateway.database.read() as session:
        return registry.find(session, concept, version).job_id or "shipped"
