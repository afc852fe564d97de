"""Accepting work: plan it, commit it, then let in whose turn it is. When a function here returns, the work survives anything
but the loss of the database; whether its turn has come, and a worker heard the bell, does not matter. A `claim` is taken in
the same transaction; whoever passes one calls through `service.acceptance.idempotency.accept_once`."""

from __future__ import annotations

import logging

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service import audit
from service.acceptance.idempotency import Claim
from service.acceptance.limits import allow
from service.acceptance.planning import plan
from service.acceptance.prompt_length import check_generation_length, check_pairs_length
from service.acceptance.training_checks import check_config, check_prompts
from service.acceptance.verification import Lookout
from service.auth import Caller
from service.domain.webhook_address import allow_url
from service.erasers import aliases, interactions
from service.errors import StateError
from service.gateway import Gateway
from service.logs import about
from service.policies.binding import binding_of
from service.schemas.erasers import TrainRequest
from service.schemas.generations import GenerateRequest, Plan
from service.store import erasers, jobs, pinned
from service.store.identifiers import new_id
from service.store.models import Job
from workers.contract import ModelCard, PromptPair, TrainingTask

logger = logging.getLogger(__name__)

_VERSION_TRIES = 5


def plan_generation(gateway: Gateway, caller: Caller, request: GenerateRequest) -> Plan:
    card, lookout = _before(gateway, request)
    with gateway.database.read() as session:
        return plan(session, request, card, binding_of(session, caller.key_id), lookout)


def accept_generation(gateway: Gateway, caller: Caller, request: GenerateRequest, *, claim: Claim | None = None) -> Job:
    card, lookout = _before(gateway, request)
    job_id = new_id("gen")
    with gateway.database.shared() as session:  # no eraser is retired and no policy changed between check and insert
        if claim is not None:
            claim.take(session, job_id)
        planned = plan(session, request, card, binding_of(session, caller.key_id), lookout)
        allow(gateway, session, caller)
        job = jobs.insert(
            session,
            job_id=job_id,
            kind="generate",
            model=planned.model,
            key_id=caller.key_id,
            plan=planned.model_dump(mode="json"),
            labels=dict(request.metadata),
            webhook_url=request.webhook_url,
        )
        pinned.pin(session, job.id, planned.erase)
        audit.accepted_generation(session, job, planned, keep_prompt=gateway.audit_prompts)
    _accepted(gateway, job)
    return job


def _before(gateway: Gateway, request: GenerateRequest) -> tuple[ModelCard, Lookout]:
    """What needs no transaction: a look at the URL, and what the store says of the model, which may take its time."""
    allow_url(request.webhook_url, private=gateway.webhook_private)
    card = gateway.catalogue.card(request.model)
    check_generation_length(gateway, request, card)
    return card, Lookout(gateway.catalogue.detectors(card.id), gateway.verify_max_share)


def accept_training(gateway: Gateway, caller: Caller, request: TrainRequest, *, claim: Claim | None = None) -> Job:
    """Its version is `store.erasers.of_job`."""
    card = gateway.catalogue.card(request.model)
    check_config(request.method, request.config, card)
    check_prompts(
        request.concept, synonyms=request.synonyms, keep=request.keep, pairs=request.pairs, seed=request.seed
    )
    check_pairs_length(gateway, request.pairs, card)
    for _ in range(_VERSION_TRIES):
        try:
            with gateway.database.shared() as session:  # no alias takes the concept's name meanwhile
                job = _insert_training(gateway, session, caller, request, card, claim)
        except IntegrityError as error:
            if not erasers.is_version_taken(error):
                raise
            continue  # two gateways gave out the same number (PostgreSQL; SQLite has one writer)
        _accepted(gateway, job)
        return job
    message = f"too many trainings of {request.concept!r} begin at once: try again"
    raise StateError("invalid_state", message, param="concept", retry_after_seconds=1)


def _accepted(gateway: Gateway, job: Job) -> None:
    logger.info("accepted", extra={**about(job), "key": job.key_id})
    gateway.metrics.accepted(job)
    gateway.window.fill()


def _insert_training(
    gateway: Gateway, session: Session, caller: Caller, request: TrainRequest, card: ModelCard, claim: Claim | None
) -> Job:
    job_id = new_id("train")
    if claim is not None:
        claim.take(session, job_id)
    aliases.check_free(session, request.concept, param="concept")
    allow(gateway, session, caller)
    version = erasers.next_version(session, request.concept)
    pairs = request.pairs and tuple(PromptPair(positive=pair.positive, negative=pair.negative) for pair in request.pairs)
    task = TrainingTask(
        id=job_id,
        attempt=1,
        model=card.id,
        concept=request.concept,
        version=version,
        kind=request.kind,
        method=request.method,
        description=request.description,
        synonyms=tuple(request.synonyms),
        keep=tuple(request.keep),
        pairs=pairs or None,
        pair_source=request.pair_source or "offline",
        config=request.config,
        seed=request.seed,
        active=interactions.pins(
            session,
            concept=request.concept,
            encoder_fingerprint=card.encoder_fingerprint,
            limit=gateway.interaction_erasers,
        ),
    )
    job = jobs.insert(
        session,
        job_id=job_id,
        kind="train",
        model=card.id,
        key_id=caller.key_id,
        plan=task.model_dump(mode="json"),
        labels={},
    )
    row = erasers.insert_training(
        session,
        concept=request.concept,
        version=version,
        method=request.method,
        model=card.id,
        encoder_fingerprint=card.encoder_fingerprint,
        config=request.config,
        job_id=job_id,
    )
    audit.accepted_training(session, job, row)
    return job
