"""Statements on `eraser_aliases`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.store.models import EraserAlias


def get(session: Session, alias: str) -> EraserAlias | None:
    return session.get(EraserAlias, alias)


def meant(session: Session, names: Collection[str]) -> dict[str, str]:
    """The concepts of those names that are aliases."""
    statement = select(EraserAlias.alias, EraserAlias.concept).where(EraserAlias.alias.in_(names))
    return dict(session.execute(statement).all()) if names else {}


def every(session: Session) -> dict[str, str]:
    """The concept of each alias, by alias."""
    return dict(session.execute(select(EraserAlias.alias, EraserAlias.concept).order_by(EraserAlias.alias)).all())


def of_concepts(session: Session, concepts: Collection[str]) -> dict[str, list[str]]:
    """The aliases of concepts that have any, by name."""
    found: dict[str, list[str]] = {}
    statement = select(EraserAlias).where(EraserAlias.concept.in_(concepts)).order_by(EraserAlias.alias)
    for row in session.scalars(statement):
        found.setdefault(row.concept, []).append(row.alias)
    return found


def page(session: Session, *, after: str | None, limit: int) -> Sequence[EraserAlias]:
    """By name, those after the name `after`."""
    statement = select(EraserAlias).order_by(EraserAlias.alias).limit(limit)
    return session.scalars(statement if after is None else statement.where(EraserAlias.alias > after)).all()


def put(session: Session, alias: str, concept: str, *, created_by: str) -> EraserAlias:
    """A new one, or the one that there is with another concept."""
    row = session.merge(EraserAlias(alias=alias, concept=concept, created_by=created_by, created_at=datetime.now(UTC)))
    session.flush()
    return row


def delete(session: Session, row: EraserAlias) -> None:
    session.delete(row)
    session.flush()
