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

router = APIRouter(responses=responses("unauthorized", "key_expired", "not_found", "too_many_streams"))

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

    return gateway.events.respond(id, key_id=caller.key_id, last_event_id=last_event_id, look=look)


@router.get("/erasers/{concept}/{version}/events", tags=["erasers"], responses=_STREAM, response_class=EventSourceResponse)
async def training_events(
    concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: CallerDep, last_event_id: LastEventId = None
) -> EventSourceResponse:
    """Of its evaluation while that runs, else of its training. One that came with the model has none, and settles at once."""
    job_id = await run_in_threadpool(_present_job, gateway, concept, version)

    def look() -> Snapshot:
        with gateway.database.read() as session:
            row = registry.find(session, concept, version)
            known = erasers.jobs_of(session, [row])
        job = known.get(job_id)
        return Snapshot(views.eraser(row, known), settled=job is None or job.status in TERMINAL)

    return gateway.events.respond(job_id, key_id=caller.key_id, last_event_id=last_event_id, look=look)


def _present_job(gateway: Gateway, concept: str, version: int) -> str:
    """The id of the job whose events these are."""
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        evaluation = erasers.evaluations(session, [row]).get(row.evaluation_job_id or "")
    if evaluation is not None and (evaluation.status not in TERMINAL or row.job_id is None):
        return evaluation.id
    return row.job_id or "shipped"
