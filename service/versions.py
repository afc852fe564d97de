"""Eraser versions as they are now: their unfinished jobs are looked up in Redis and the store before they are shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service import views
from service.domain.states import TERMINAL
from service.erasers import registry
from service.gateway import Gateway
from service.schemas.base import Progress
from service.schemas.erasers import Concept, Eraser
from service.store import aliases, erasers
from service.store.models import EraserVersion, Job


def version(gateway: Gateway, concept: str, number: int) -> Eraser:
    """Raises `not_found`."""
    with gateway.database.read() as session:
        row = registry.find(session, concept, number)
        known = erasers.jobs_of(session, [row])
    if _observe(gateway, known.values()):
        with gateway.database.read() as session:
            row = registry.find(session, concept, number)
            known = erasers.jobs_of(session, [row])
    return views.eraser(row, known, _progress(gateway, known.values()))


def concept(gateway: Gateway, name: str) -> Concept | None:
    """None where it has no version."""

    def look() -> tuple[Sequence[EraserVersion], dict[str, Job]]:
        with gateway.database.read() as session:
            rows = erasers.of_concept(session, name)
            return rows, erasers.jobs_of(session, rows)

    rows, known = look()
    if _observe(gateway, known.values()):
        rows, known = look()
    if not rows:
        return None
    with gateway.database.read() as session:
        named = aliases.of_concepts(session, [name])
    return views.concepts(rows, known, named, _progress(gateway, known.values()))[0]


def page(gateway: Gateway, *, after: str | None, limit: int) -> list[Concept]:
    """`limit` concepts by name. What the sweep has not noticed yet is not looked for: there may be hundreds of versions."""
    with gateway.database.read() as session:
        rows = erasers.page(session, after=after, limit=limit)
        known = erasers.jobs_of(session, rows)
        named = aliases.of_concepts(session, {row.concept for row in rows})
    return views.concepts(rows, known, named, _progress(gateway, known.values()))


def _observe(gateway: Gateway, jobs: Iterable[Job]) -> bool:
    """Whether there was an unfinished job to look up."""
    unfinished = [job for job in jobs if job.status not in TERMINAL]
    for job in unfinished:
        gateway.sweep.observe(job, polled=True)
    return bool(unfinished)


def _progress(gateway: Gateway, jobs: Iterable[Job]) -> dict[str, Progress]:
    running = ((job.id, gateway.flight.progress(job.id)) for job in jobs if job.status == "running")
    return {job_id: found for job_id, found in running if found is not None}
