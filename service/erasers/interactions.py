"""What a version does together with others that are active: with which a training measures it, and what it found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.orm import Session

from service.store import erasers
from service.store.models import EraserVersion
from workers.contract import EraserPin, Interaction

_INTERACTIONS = TypeAdapter(tuple[Interaction, ...])


def pins(session: Session, *, concept: str, encoder_fingerprint: str, limit: int) -> tuple[EraserPin, ...]:
    """Of the erasers with which a new one of `concept` may have to stand, newest first."""
    rows = erasers.active_besides(session, concept, encoder_fingerprint, limit=limit)
    return tuple(
        EraserPin.model_validate({"concept": row.concept, "version": row.version, "digest": row.digest, "strength": row.strength})
        for row in rows
    )


def read(evaluation: Mapping[str, Any] | None) -> tuple[Interaction, ...] | None:
    """Empty where none was measured; None where it is written as no version before this one wrote it."""
    try:
        return _INTERACTIONS.validate_python((evaluation or {}).get("interactions", ()))
    except ValidationError:
        return None


def still_active(session: Session, row: EraserVersion) -> frozenset[str]:
    """Digests of the erasers with which `row` stands, or would."""
    rows = erasers.active_besides(session, row.concept, row.encoder_fingerprint)
    return frozenset(other.digest for other in rows if other.digest is not None)
