"""From records to numbers: means over subjects, beside the origin's, with intervals over subjects."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT, Cell

RESAMPLES = 2000
BUDGET = 0.95
"""Methods are compared at equal cost: the strongest factor at which what must stay has this mean cosine, in the validation."""
NEAR: tuple[Cell, ...] = ("keep", "neighbours")
STAYING: tuple[Cell, ...] = ("others", *NEAR)
CELLS: tuple[Cell, ...] = (*CONCEPT, *STAYING)
"""Those that are read."""
Point = Mapping[str, Any]
Pick = Callable[[Record], Point | None]


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float
    """95 %, subjects drawn anew."""


@dataclass(frozen=True)
class Row:
    """A variant, over subjects; with each at one of its strengths, or at none."""

    variant: str
    subjects: int
    acting: int
    """Subjects for which there was such a strength; for the others the numbers are the origin's."""
    left: Interval
    """Reads of the concept, relative to the origin's: plain, synonyms and paraphrases together."""
    kept: Interval
    """Reads of what must stay, relative to the origin's: other subjects, and what is near."""
    read: dict[Cell, float]
    cosine_near: float
    cosine_unrelated: float
    change_unrelated: float
    recoverable: float | None
    strength: tuple[float, float, float]
    """Smallest, median, largest."""
    layers: dict[int, int]
    """How many subjects are erased at each block."""


def own(record: Record) -> Point | None:
    return at(1.0)(record)


def at(factor: float) -> Pick:
    return lambda record: next((point for point in record["points"] if point["factor"] == factor), None)


def within_budget(record: Record) -> Point | None:
    """The strongest factor that the validation allows."""
    allowed = [point for point in record["points"] if _cosine(point, "validation", ("keep", "unrelated")) >= BUDGET]
    return max(allowed, key=lambda point: float(point["factor"]), default=None)


def row(variant: str, records: Sequence[Record], pick: Pick, among: Sequence[str] | None = None) -> Row | None:
    """Of the subjects `among` that the variant was made for; None if it was made for none."""
    origin = {record["subject"]: record["points"][0] for record in records if record["variant"] == ORIGIN}
    own_records = [record for record in records if record["variant"] == variant and (among is None or record["subject"] in among)]
    if not own_records:
        return None
    picked = [pick(record) if variant != ORIGIN else record["points"][0] for record in own_records]
    before = [origin[record["subject"]] for record in own_records]
    after = [base if point is None else point for point, base in zip(picked, before, strict=True)]
    fresh = [point["recoverable"] for point in after if "recoverable" in point]
    strengths = [float(point["strength"]) for point in picked if point is not None] or [0.0]
    layers = Counter(record["layer"] for record in own_records if "layer" in record)
    return Row(
        variant=variant,
        subjects=len(own_records),
        acting=sum(point is not None for point in picked),
        left=_relative(after, before, CONCEPT),
        kept=_relative(after, before, STAYING),
        read={cell: round(fmean(point["test"][cell]["read"] for point in after), 4) for cell in CELLS},
        cosine_near=round(fmean(_cosine(point, "test", NEAR) for point in after), 4),
        cosine_unrelated=round(fmean(_cosine(point, "test", ("unrelated",)) for point in after), 4),
        change_unrelated=round(fmean(point["test"]["unrelated"]["change"] for point in after), 4),
        recoverable=round(fmean(fresh), 4) if len(fresh) == len(after) else None,
        strength=(min(strengths), median(strengths), max(strengths)),
        layers=dict(sorted(layers.items())),
    )


def _cosine(point: Point, part: str, cells: Sequence[Cell]) -> float:
    return fmean(point[part][cell]["cosine"] for cell in cells)


def _reads(point: Point, cells: Sequence[Cell]) -> float:
    return fmean(point["test"][cell]["read"] for cell in cells)


def _relative(after: Sequence[Point], before: Sequence[Point], cells: Sequence[Cell]) -> Interval:
    pairs = [(_reads(now, cells), _reads(then, cells)) for now, then in zip(after, before, strict=True)]
    rng = random.Random(0)  # noqa: S311 - it must repeat
    drawn = sorted(_ratio(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    low, high = drawn[round(0.025 * (RESAMPLES - 1))], drawn[round(0.975 * (RESAMPLES - 1))]
    return Interval(round(_ratio(pairs), 4), round(low, 4), round(high, 4))


def _ratio(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(now for now, _ in pairs) / max(sum(then for _, then in pairs), 1e-9)
