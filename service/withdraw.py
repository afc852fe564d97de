"""Clients cancel and delete work that they submitted."""

from __future__ import annotations

import logging

from service import audit
from service.auth import Caller
from service.domain.states import TERMINAL
from service.erasers import registry
from service.errors import StateError
from service.gateway import Gateway
from service.lifecycle import settle
from service.lifecycle.ring import silence
from service.logs import about
from service.store import erasers, idempotency, jobs
from service.store.models import Job

logger = logging.getLogger(__name__)


def cancel(gateway: Gateway, caller: Caller, job: Job) -> Job:
    """The job as it is afterwards: canceled, unless it had ended before. Looks into the store first, so that what has ended
    is not called canceled; from the commit on, whatever a worker still writes counts for nothing."""
    job = gateway.sweep.observe(job) if job.status not in TERMINAL else job
    with gateway.database.write() as session:
        locked = jobs.lock(session, job.id)
        withdrawn = locked is not None and locked.status not in TERMINAL and settle.cancel(session, locked)
        if locked is not None and withdrawn:
            audit.settled(session, locked, actor=caller.key_id)
    if locked is not None and withdrawn:
        _canceled(gateway, locked)
        silence(gateway.queue, locked, worker=None)
        gateway.window.fill()
    return locked or job


def cancel_eraser_job(gateway: Gateway, caller: Caller, concept: str, version: int) -> None:
    """Cancel the training of a version, or else its last evaluation. Cancelling it again changes nothing. Raises `not_found`, and
    `invalid_state` where the job ended in another way or there never was one."""
    name = f"version {version} of {concept!r}"
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        known = erasers.jobs_of(session, [row])
    training, evaluation = known.get(row.job_id or ""), known.get(row.evaluation_job_id or "")
    job = training if evaluation is None or row.status == "training" else evaluation
    if job is None:
        raise StateError("invalid_state", f"{name} was not trained here and no evaluation was started: nothing can be cancelled")
    job = cancel(gateway, caller, job)
    if job.status != "canceled":
        what = "training" if job.kind == "train" else "evaluation"
        raise StateError("invalid_state", f"the {what} of {name} has {job.status} and cannot be cancelled any more")


def delete(gateway: Gateway, caller: Caller, job: Job) -> None:
    """Gone for clients when this returns; gone altogether as soon as no worker holds it, which may be now."""
    with gateway.database.write() as session:
        locked = jobs.lock(session, job.id)
        if locked is None:
            return
        canceled = locked.status not in TERMINAL and settle.cancel(session, locked)
        jobs.hide(session, locked)
        idempotency.forget_request(session, locked.id)
        if canceled:
            audit.settled(session, locked, actor=caller.key_id)
        audit.record(session, "generation.deleted", locked.id, {}, actor=caller.key_id)
    if canceled:
        _canceled(gateway, locked)
    logger.info("deleted", extra=about(locked))
    silence(gateway.queue, locked, worker=None)
    gateway.window.fill()
    gateway.remover.remove(locked)


def delete_version(gateway: Gateway, caller: Caller, concept: str, version: int) -> None:
    """Delete an eraser version that was never active. Its evaluation is cancelled first if it has not ended. The artifact leaves
    the store as soon as no other version has it. Raises `not_found`, `invalid_state` or `policy_needs_eraser`."""
    with gateway.database.exclusive() as session:
        row = registry.find(session, concept, version)
        found = [jobs.lock(session, job_id) for job_id in erasers.jobs_of(session, [row])]
        known = [job for job in found if job is not None]
        registry.delete(session, row, actor=caller.key_id)
        canceled = [job for job in known if job.status not in TERMINAL and settle.cancel(session, job)]
        for job in canceled:
            audit.settled(session, job, actor=caller.key_id)
        for job in known:
            jobs.hide(session, job)
            idempotency.forget_request(session, job.id)
    for job in canceled:
        _canceled(gateway, job)
        silence(gateway.queue, job, worker=None)
    logger.info("version %d of %r was deleted", version, concept)
    gateway.window.fill()
    for job in known:
        gateway.remover.remove(job)
    gateway.remover.remove_artifact(row)


def _canceled(gateway: Gateway, job: Job) -> None:
    logger.info("canceled", extra=about(job))
    gateway.metrics.ended(job)
