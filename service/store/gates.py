"""Statements on `concept_gates`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.models import ConceptGate


def every(session: Session) -> Sequence[ConceptGate]:
    """By concept."""
    return session.scalars(select(ConceptGate).order_by(ConceptGate.concept)).all()


def get(session: Session, concept: str) -> ConceptGate | None:
    return session.get(ConceptGate, concept)


def put(session: Session, *, concept: str, thresholds: Mapping[str, float], set_by: str) -> ConceptGate:
    """In the place of what was set before."""
    row = ConceptGate(concept=concept, thresholds=dict(thresholds), set_by=set_by, set_at=datetime.now(UTC))
    row = session.merge(row)
    session.flush()
    return row


def delete(session: Session, row: ConceptGate) -> None:
    session.delete(row)
    session.flush()
