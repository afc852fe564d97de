"""Statements on `eraser_versions`. Moves are conditional on the status that the caller saw. Versions that were deleted are not
found; only `next_version` still counts them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from statistics import median
from typing import Any, cast

from sqlalchemy import CursorResult, Select, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, defer

from service.domain.states import VersionStatus, check_version_move
from service.store.conflicts import is_duplicate
from service.store.identifiers import new_id
from service.store.models import DELETED_WITH_ARTIFACT, EraserVersion, Job

_COMPARED = 20
"""Trainings that an estimate of the next one looks at."""


def is_version_taken(error: IntegrityError) -> bool:
    """Whether an insert failed because its concept has that version already."""
    columns = "eraser_versions.concept, eraser_versions.version"
    return is_duplicate(error, constraint="uq_eraser_versions_concept_version", columns=columns)


def insert_training(
    session: Session,
    *,
    concept: str,
    version: int,
    method: str,
    model: str,
    encoder_fingerprint: str,
    config: dict[str, Any],
    job_id: str,
) -> EraserVersion:
    row = EraserVersion(
        id=new_id("ers"),
        concept=concept,
        version=version,
        status="training",
        method=method,
        model=model,
        encoder_fingerprint=encoder_fingerprint,
        config=config,
        job_id=job_id,
        created_at=datetime.now(UTC),
    )
    session.add(row)
    session.flush()
    return row


def insert_shipped(
    session: Session,
    *,
    concept: str,
    method: str,
    model: str,
    encoder_fingerprint: str,
    digest: str,
    layer: int,
    strength: float,
    minimum_strength: float | None,
    evaluation: dict[str, Any] | None,
    claimed_evaluation: dict[str, Any] | None = None,
    config: dict[str, Any],
    activate: bool,
) -> EraserVersion:
    """One that was not trained here: it came with the model, or was imported, and then nothing is measured yet."""
    now = datetime.now(UTC)
    row = EraserVersion(
        id=new_id("ers"),
        concept=concept,
        version=next_version(session, concept),
        status="active" if activate else "candidate",
        method=method,
        model=model,
        encoder_fingerprint=encoder_fingerprint,
        digest=digest,
        layer=layer,
        strength=strength,
        minimum_strength=minimum_strength,
        evaluation=evaluation,
        claimed_evaluation=claimed_evaluation,
        config=config,
        job_id=None,
        created_at=now,
        activated_at=now if activate else None,
    )
    session.add(row)
    session.flush()
    return row


def next_version(session: Session, concept: str) -> int:
    """A number that no version of the concept has, nor had before it was deleted."""
    return (session.scalar(select(func.max(EraserVersion.version)).where(EraserVersion.concept == concept)) or 0) + 1


def get(session: Session, concept: str, version: int) -> EraserVersion | None:
    return session.scalar(_alive().where(EraserVersion.concept == concept, EraserVersion.version == version))


def training_seconds(session: Session, like: EraserVersion) -> float | None:
    """The median of the last trainings that succeeded with the same method, config and model; None if there are none."""
    query = (
        select(EraserVersion.config, Job.result)
        .join(Job, EraserVersion.job_id == Job.id)
        .where(Job.status == "succeeded", EraserVersion.method == like.method, EraserVersion.model == like.model)
        .order_by(Job.id.desc())
        .limit(_COMPARED)
    )
    seconds = [result["seconds"] for config, result in session.execute(query) if config == like.config and result is not None]
    return float(median(seconds)) if seconds else None


def of_job(session: Session, job_id: str) -> EraserVersion:
    """The version that a training makes; they were inserted together."""
    return session.scalars(select(EraserVersion).where(EraserVersion.job_id == job_id)).one()


def of_evaluation(session: Session, job_id: str) -> EraserVersion | None:
    """The version whose last evaluation the job is; None where a later one was started."""
    return session.scalar(select(EraserVersion).where(EraserVersion.evaluation_job_id == job_id))


def trainings(session: Session, rows: Sequence[EraserVersion]) -> dict[str, Job]:
    """The training jobs of versions, by job id."""
    return _jobs(session, [row.job_id for row in rows])


def evaluations(session: Session, rows: Sequence[EraserVersion]) -> dict[str, Job]:
    """The last evaluation jobs of versions, by job id."""
    return _jobs(session, [row.evaluation_job_id for row in rows])


def jobs_of(session: Session, rows: Sequence[EraserVersion]) -> dict[str, Job]:
    """Trainings and last evaluations of versions, by job id."""
    return _jobs(session, [job_id for row in rows for job_id in (row.job_id, row.evaluation_job_id)])


def _jobs(session: Session, named: Sequence[str | None]) -> dict[str, Job]:
    job_ids = [job_id for job_id in named if job_id is not None]
    return {job.id: job for job in session.scalars(select(Job).where(Job.id.in_(job_ids)))} if job_ids else {}


def of_concept(session: Session, concept: str) -> Sequence[EraserVersion]:
    """All versions, newest first."""
    statement = _alive().where(EraserVersion.concept == concept).order_by(EraserVersion.version.desc())
    return session.scalars(statement).all()


def of_concepts(session: Session, concepts: Collection[str]) -> dict[str, list[EraserVersion]]:
    """As `of_concept`, of several at once, by concept; without what was measured and how it was trained."""
    statement = _alive().where(EraserVersion.concept.in_(concepts)).order_by(EraserVersion.version.desc())
    large = (EraserVersion.evaluation, EraserVersion.claimed_evaluation, EraserVersion.config)
    left_out = [defer(column, raiseload=True) for column in large]
    found: dict[str, list[EraserVersion]] = {}
    for row in session.scalars(statement.options(*left_out)) if concepts else ():
        found.setdefault(row.concept, []).append(row)
    return found


def active(session: Session, concept: str, encoder_fingerprint: str) -> EraserVersion | None:
    return session.scalar(
        select(EraserVersion).where(
            EraserVersion.concept == concept,
            EraserVersion.encoder_fingerprint == encoder_fingerprint,
            EraserVersion.status == "active",
        )
    )


def retired_last(session: Session, concept: str, encoder_fingerprint: str) -> EraserVersion | None:
    """The one that was active directly before what is active now, if anything is."""
    statement = select(EraserVersion).where(
        EraserVersion.concept == concept,
        EraserVersion.encoder_fingerprint == encoder_fingerprint,
        EraserVersion.status == "retired",
    )
    return session.scalar(statement.order_by(EraserVersion.retired_at.desc(), EraserVersion.version.desc()).limit(1))


def active_besides(
    session: Session, concept: str, encoder_fingerprint: str, *, limit: int | None = None
) -> Sequence[EraserVersion]:
    """The active versions of all other concepts for a text encoder, newest first."""
    statement = select(EraserVersion).where(
        EraserVersion.concept != concept,
        EraserVersion.encoder_fingerprint == encoder_fingerprint,
        EraserVersion.status == "active",
    )
    order = (EraserVersion.activated_at.desc(), EraserVersion.id.desc())
    return session.scalars(statement.order_by(*order).limit(limit)).all()


def with_digest(session: Session, concept: str, digest: str) -> EraserVersion | None:
    return session.scalar(_alive().where(EraserVersion.concept == concept, EraserVersion.digest == digest).limit(1))


def concepts(session: Session) -> Sequence[str]:
    statement = select(EraserVersion.concept).where(EraserVersion.deleted_at.is_(None))
    return session.scalars(statement.distinct().order_by(EraserVersion.concept)).all()


def page(session: Session, *, after: str | None, limit: int) -> Sequence[EraserVersion]:
    """All versions of the next `limit` concepts after the name `after`, by name, newest version first."""
    names = select(EraserVersion.concept).where(EraserVersion.deleted_at.is_(None))
    names = names.distinct().order_by(EraserVersion.concept).limit(limit)
    if after is not None:
        names = names.where(EraserVersion.concept > after)
    order = (EraserVersion.concept, EraserVersion.version.desc())
    return session.scalars(_alive().where(EraserVersion.concept.in_(names)).order_by(*order)).all()


def move(session: Session, row: EraserVersion, target: VersionStatus, **values: Any) -> bool:
    """False when the version left `row.status` meanwhile. On success the caller's `row` follows."""
    check_version_move(row.status, target)
    where = (EraserVersion.id == row.id, EraserVersion.status == row.status)
    statement = update(EraserVersion).where(*where).values(status=target, **values)
    moved = cast(CursorResult[Any], session.execute(statement)).rowcount == 1
    if moved:
        for name, value in {"status": target, **values}.items():
            setattr(row, name, value)
    return moved


def hide(session: Session, row: EraserVersion) -> bool:
    """Delete a version for clients, with its numbers and settings; `forget_artifact` removes its digest later. Returns False
    where another transaction changed the version first."""
    values: dict[str, Any] = {"deleted_at": datetime.now(UTC), "config": {}, "job_id": None, "evaluation_job_id": None}
    values |= {"evaluation": None, "claimed_evaluation": None}
    where = (EraserVersion.id == row.id, EraserVersion.status == row.status, EraserVersion.deleted_at.is_(None))
    statement = update(EraserVersion).where(*where).values(**values)
    return cast(CursorResult[Any], session.execute(statement)).rowcount == 1


def deleted_with_artifact(session: Session) -> Sequence[EraserVersion]:
    return session.scalars(select(EraserVersion).where(text(DELETED_WITH_ARTIFACT))).all()


def forget_artifact(session: Session, row: EraserVersion) -> None:
    session.execute(update(EraserVersion).where(EraserVersion.id == row.id).values(digest=None))


def artifact_is_used(session: Session, digest: str) -> bool:
    """Whether a version that is not deleted has this artifact, of whatever concept."""
    return session.scalar(select(_alive().where(EraserVersion.digest == digest).exists())) or False


def is_trained_now(session: Session, concept: str) -> bool:
    """Whether a training of the concept is unfinished."""
    return (
        session.scalar(select(_alive().where(EraserVersion.concept == concept, EraserVersion.status == "training").exists()))
        or False
    )


def _alive() -> Select[EraserVersion]:
    return select(EraserVersion).where(EraserVersion.deleted_at.is_(None))
