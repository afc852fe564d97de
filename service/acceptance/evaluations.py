"""Accept an evaluation: a job that measures an eraser version on this installation's model.

What the version is measured with is decided here and never by the artifact: pairs, synonyms and seed come from the request, or
from the training that made the version here. Of an imported version nothing but its concept's name is known.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from service import audit
from service.acceptance.limits import allow
from service.acceptance.prompt_length import check_pairs_length
from service.acceptance.training_checks import check_prompts
from service.auth import Caller
from service.erasers import interactions, registry
from service.errors import StateError
from service.gateway import Gateway
from service.schemas.erasers import EvaluateRequest
from service.store import erasers, jobs
from service.store.identifiers import new_id
from service.store.models import EraserVersion, Job
from workers.contract import EvaluationTask, PromptPair

_FROM_TRAINING = ("description", "synonyms", "keep", "pairs", "pair_source", "seed")


def accept_evaluation(gateway: Gateway, caller: Caller, concept: str, version: int, request: EvaluateRequest) -> Job:
    """Commit the job and let the queue have it. Raises `not_found`, `not_finished`, `invalid_state`, `invalid_concept` or
    `invalid_pairs`."""
    _check(gateway, concept, version, request)
    with gateway.database.exclusive() as session:
        row = registry.find(session, concept, version)
        allow(gateway, session, caller)
        job = insert_evaluation(session, row, request, key_id=caller.key_id, interaction_erasers=gateway.interaction_erasers)
    gateway.metrics.accepted(job)
    gateway.window.fill()
    return job


def _check(gateway: Gateway, concept: str, version: int, request: EvaluateRequest) -> None:
    """Before the transaction in which it is accepted: thousands of prompts may take a second."""
    given = request.model_dump(exclude={"pairs"}, exclude_none=True)
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
        told = {**_known(session, row), **given}
        name, model = row.concept, row.model
    if given or request.pairs is not None:
        check_prompts(
            name,
            synonyms=told.get("synonyms", ()),
            keep=told.get("keep", ()),
            pairs=request.pairs,
            seed=told.get("seed", 0),
        )
    if request.pairs is not None:
        check_pairs_length(gateway, request.pairs, gateway.catalogue.card(model))


def insert_evaluation(
    session: Session, row: EraserVersion, request: EvaluateRequest, *, key_id: str, interaction_erasers: int
) -> Job:
    """Within the caller's transaction, which commits the job together with what made it necessary."""
    name = f"version {row.version} of {row.concept!r}"
    if row.digest is None:
        raise StateError("not_finished", f"there is no artifact to evaluate: {name} is {row.status}")
    running = erasers.evaluations(session, [row]).get(row.evaluation_job_id or "")
    if running is not None and running.status in ("queued", "running"):
        message = f"{name} is being evaluated already: wait, or POST /erasers/{row.concept}/{row.version}/cancel first"
        raise StateError("invalid_state", message)
    job_id = new_id("eval")
    values: dict[str, Any] = {name: value for name, value in request.model_dump(exclude={"pairs"}).items() if value is not None}
    if request.pairs is not None:
        values["pairs"] = tuple(PromptPair(positive=pair.positive, negative=pair.negative) for pair in request.pairs)
    task = EvaluationTask.model_validate(
        {
            **_known(session, row),
            **values,
            "id": job_id,
            "attempt": 1,
            "model": row.model,
            "concept": row.concept,
            "version": row.version,
            "digest": row.digest,
            "active": interactions.pins(
                session, concept=row.concept, encoder_fingerprint=row.encoder_fingerprint, limit=interaction_erasers
            ),
        }
    )
    job = jobs.insert(
        session, job_id=job_id, kind="evaluate", model=row.model, key_id=key_id, plan=task.model_dump(mode="json"), labels={}
    )
    row.evaluation_job_id = job.id
    session.flush()
    audit.accepted_evaluation(session, job, row)
    return job


def _known(session: Session, row: EraserVersion) -> dict[str, Any]:
    """What the training here was told of the concept; its seed keeps the same pairs out of what the probe is fitted on."""
    training = erasers.trainings(session, [row]).get(row.job_id or "")
    return {name: training.plan[name] for name in _FROM_TRAINING} if training is not None and training.plan else {}
