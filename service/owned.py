"""Finding a generation for a caller. One of another key is as absent as one that never was."""

from __future__ import annotations

from collections.abc import Iterable

from service.auth import Caller
from service.domain.states import TERMINAL
from service.errors import MissingError
from service.gateway import Gateway
from service.schemas.base import Progress
from service.store import jobs, webhooks
from service.store.models import Job
from service.views import Deliveries


def owned_generation(gateway: Gateway, caller: Caller, generation_id: str) -> Job:
    if generation_id.isascii() and generation_id.isprintable():  # PostgreSQL refuses NUL even in a comparison
        with gateway.database.read() as session:
            job = jobs.get(session, generation_id, kind="generate")
        if job is not None and caller.sees_key in (None, job.key_id):
            return job
    raise MissingError("not_found", f"no generation {generation_id[:80]!a}")


def current_generation(gateway: Gateway, caller: Caller, generation_id: str) -> tuple[Job, Progress | None]:
    """As it is now: Redis and the store are asked what became of an unfinished one. Progress while it runs."""
    job = owned_generation(gateway, caller, generation_id)
    if job.status not in TERMINAL:
        job = gateway.sweep.observe(job, polled=True)
    return job, progress_of(gateway, job)


def deliveries_of(gateway: Gateway, found: Iterable[Job]) -> Deliveries:
    """What became of their webhooks."""
    with gateway.database.read() as session:
        return webhooks.of_jobs(session, found)


def progress_of(gateway: Gateway, job: Job) -> Progress | None:
    return gateway.flight.progress(job.id) if job.status == "running" else None
