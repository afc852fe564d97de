"""Strengths of a policy that are below what was measured to erase the concept.

The minimum of a version is `minimum_strength`, from the calibration of its training. A version without one was not calibrated,
and nothing is known of what is too weak.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy.orm import Session

from service.errors import RequestError
from service.schemas.generations import EraseItem
from service.store import erasers


@dataclass(frozen=True)
class BelowMinimum:
    """One item of a policy that is too weak for one version."""

    param: str
    concept: str
    strength: float
    version: int
    minimum: float

    def as_dict(self) -> dict[str, Any]:
        """For the audit log."""
        return asdict(self)

    def refusal(self) -> RequestError:
        message = (
            f"strength {self.strength:g} of {self.concept!r} is below {self.minimum:g}, the smallest that was measured to erase "
            f"it with version {self.version}: give at least that, leave strength out, or say why in strength_override_reason"
        )
        return RequestError("invalid_strength", message, param=f"{self.param}.strength")


def check_each_acts(field: str, items: Sequence[EraseItem]) -> None:
    """Raises `invalid_strength` for a strength of 0, which no reason overrides."""
    for index, item in enumerate(items):
        if item.strength == 0:
            message = f"a strength of 0 erases nothing: leave {item.concept!r} out, or give a strength"
            raise RequestError("invalid_strength", message, param=f"{field}[{index}].strength")


def below_minimum(session: Session, field: str, items: Sequence[EraseItem]) -> Iterator[BelowMinimum]:
    """`field` is that of the policy, `items` what it holds, in order. Judged by the version that an item names, or by all that
    are active."""
    for index, item in enumerate(items):
        if item.strength is None:
            continue
        for row in erasers.of_concept(session, item.concept):
            meant = row.status == "active" if item.version is None else row.version == item.version
            if meant and row.minimum_strength is not None and item.strength < row.minimum_strength:
                yield BelowMinimum(f"{field}[{index}]", item.concept, item.strength, row.version, row.minimum_strength)
