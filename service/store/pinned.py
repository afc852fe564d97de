"""Statements on `generation_erasers`: which generations have an eraser version pinned. Its primary key is the index that they
are found by, so that a version's generations cost what they are, and not what there is."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from service.domain.states import JobStatus
from service.schemas.generations import AppliedEraser
from service.store.models import EraserVersion, GenerationEraser, Job


def pin(session: Session, job_id: str, erasers: Sequence[AppliedEraser]) -> None:
    """After the job was inserted, in its transaction."""
    rows = [{"concept": eraser.concept, "version": eraser.version, "job_id": job_id} for eraser in erasers]
    if rows:
        session.execute(insert(GenerationEraser), rows)


def page(
    session: Session, row: EraserVersion, *, status: JobStatus | None = None, after: str | None, limit: int
) -> Sequence[Job]:
    """Newest first; those that follow the id `after` in that order. Without those that clients deleted."""
    statement = _having(select(Job), row).order_by(GenerationEraser.job_id.desc()).limit(limit)
    if status is not None:
        statement = statement.where(Job.status == status)
    if after is not None:
        statement = statement.where(GenerationEraser.job_id < after)
    return session.scalars(statement).all()


def count(session: Session, row: EraserVersion) -> int:
    """As many as `page` would find, in every state."""
    return session.scalar(_having(select(func.count()).select_from(Job), row)) or 0


def _having(statement: Select, row: EraserVersion) -> Select:  # type: ignore[type-arg]
    return statement.join(GenerationEraser, GenerationEraser.job_id == Job.id).where(
        GenerationEraser.concept == row.concept, GenerationEraser.version == row.version, Job.deleted_at.is_(None)
    )
