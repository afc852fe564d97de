"""Whose turn it is: which key's oldest job a worker gets next, when several keys wait. Pure.

The higher priority first; of equal ones the key that has the fewest jobs in flight, then the one served longest ago (never is
longest), then the one whose job is oldest. So a thousand jobs of one key and one of another take turns, and among many
keys each comes round before any comes twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

Priority = Literal["low", "normal", "high"]

_RANK: Mapping[Priority, int] = {"high": 0, "normal": 1, "low": 2}
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Line:
    """The jobs of one key that wait for workers of one kind, and what the key already has of them."""

    key_id: str
    priority: Priority
    in_flight: int  # rung for, or running
    more: int | None  # so many more it may have in flight; None: any number
    served_at: datetime | None  # when a job of the key was last let in
    oldest: str  # id of a job; ids grow with time

    def served(self, at: datetime) -> Line:
        more = None if self.more is None else self.more - 1
        return replace(self, in_flight=self.in_flight + 1, more=more, served_at=at)


def first(lines: Iterable[Line]) -> Line | None:
    """The line whose turn it is; None where nobody waits who may have more."""
    return min((line for line in lines if line.more is None or line.more > 0), key=_place, default=None)


def _place(line: Line) -> tuple[int, int, datetime, str]:
    return _RANK[line.priority], line.in_flight, line.served_at or _NEVER, line.oldest
