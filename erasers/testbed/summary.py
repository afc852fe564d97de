"""From records to numbers: means over subjects, beside the origin's, with intervals over subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

import numpy as np

from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT, Cell
from erasers.testbed.variants import BESIDE, GROUPS

RESAMPLES = 2000
BUDGET = 0.95
"""Methods are compared at equal cost: the strongest factor at which what must stay has this mean cosine, in the validation."""
KEPT = 0.95
"""And where this share of what must stay is still read."""
NEAR: tuple[Cell, ...] = ("keep", "neighbours")
STAYING: tuple[Cell, ...] = ("others", *NEAR)
CELLS: tuple[Cell, ...] = (*CONCEPT, *STAYING)
"""Those that are read."""
Point = Mapping[str, Any]


@dataclass(frozen=True)
class Interval:
    value: float
    low: float
    high: float
    """95 %, subjects drawn anew."""


@dataclass(frozen=True)
class Row:
    """A variant, over subjects."""

    variant: str
    factor: float | None
    """Times each eraser's own strength; None for each subject's strongest within the budget, or none at all."""
    subjects: int
    acting: int
    """Subjects for which there was such a strength; for the others the numbers are the origin's."""
    left: Interval
    """Reads of the concept, relative to the origin's: plain, synonyms and paraphrases together."""
    kept: Interval
    """Reads of what must stay, relative to the origin's: other subjects, and what is near."""
    relative: dict[Cell, Interval]
    """Reads of each cell, relative to the origin's."""
    read: dict[Cell, float]
    cosine_near: Interval
    cosine_unrelated: Interval
    change_unrelated: float
    recoverable: float | None
    strength: tuple[float, float, float]
    """Smallest, median, largest."""
    layers: dict[int, int]
    """How many subjects are erased at each block."""


@dataclass(frozen=True)
class Section:
    """Variants beside each other, on the subjects that all of them were made for."""

    subjects: tuple[str, ...]
    rows: tuple[Row, ...]
    """The origin first, then each variant at each factor, then within the budget."""

    @property
    def origin(self) -> Row:
        return self.rows[0]

    @property
    def own(self) -> list[Row]:
        return [one for one in self.rows if one.factor == 1.0]

    @property
    def within_budget(self) -> list[Row]:
        return [one for one in self.rows if one.factor is None]

    def curve(self, variant: str) -> list[Row]:
        return [one for one in self.rows if one.variant == variant and one.factor is not None]

    @property
    def where_kept(self) -> dict[str, Row | None]:
        """Of each variant the factor that erases most of those at which KEPT is kept, the same for all subjects."""
        return {
            own.variant: min(
                (one for one in self.curve(own.variant) if one.kept.value >= KEPT), key=lambda one: one.left.value, default=None
            )
            for own in self.own
        }


def sections(records: Sequence[Record]) -> dict[str, Section]:
    """By group of variants; without those that share no subject. What stands beside a group is there for all its subjects."""
    order = [record["subject"] for record in records if record["variant"] == ORIGIN]
    made = {variant: {record["subject"] for record in records if record["variant"] == variant} for variant in _variants(records)}
    found = {}
    for group, names in GROUPS.items():
        compared = [name for name in names if name in made]
        subjects = tuple(subject for subject in order if all(subject in made[name] for name in compared))
        if compared and subjects:
            beside = [name for name in BESIDE[group] if made.get(name, set()).issuperset(subjects)]
            variants = (*beside, *compared)
            curves = [row(name, records, factor, subjects) for name in variants for factor in _factors(name, records)]
            budget = [row(name, records, None, subjects) for name in variants]
            found[group] = Section(subjects, (row(ORIGIN, records, 0.0, subjects), *curves, *budget))
    return found


def row(variant: str, records: Sequence[Record], factor: float | None, among: Iterable[str]) -> Row:
    """Over the subjects `among`, which the variant and the origin must have been made for."""
    by_subject = {(record["variant"], record["subject"]): record for record in records}
    own_records = [by_subject[variant, subject] for subject in among]
    before = [by_subject[ORIGIN, subject]["points"][0] for subject in among]
    picked = [within_budget(record) if factor is None else at(record, factor) for record in own_records]
    after = [base if point is None else point for point, base in zip(picked, before, strict=True)]
    fresh = [point["recoverable"] for point in after if "recoverable" in point]
    strengths = [float(point["strength"]) for point in picked if point is not None] or [0.0]
    layers = Counter(record["layer"] for record in own_records if "layer" in record)

    def relative(measure: Callable[[Point], float]) -> Interval:
        return _relative([measure(point) for point in after], [measure(point) for point in before])

    return Row(
        variant=variant,
        factor=factor,
        subjects=len(own_records),
        acting=sum(point is not None for point in picked),
        left=relative(lambda point: _mean(point, "read", CONCEPT)),
        kept=relative(lambda point: _mean(point, "read", STAYING)),
        relative={cell: relative(lambda point, cell=cell: _mean(point, "read", (cell,))) for cell in CELLS},  # type: ignore[misc]
        read={cell: round(fmean(point["test"][cell]["read"] for point in after), 4) for cell in CELLS},
        cosine_near=relative(lambda point: _mean(point, "cosine", NEAR)),
        cosine_unrelated=relative(lambda point: _mean(point, "cosine", ("unrelated",))),
        change_unrelated=round(fmean(point["test"]["unrelated"]["change"] for point in after), 4),
        recoverable=round(fmean(fresh), 4) if len(fresh) == len(after) else None,
        strength=(min(strengths), median(strengths), max(strengths)),
        layers=dict(sorted(layers.items())),
    )


def at(record: Record, factor: float) -> Point | None:
    return next((point for point in record["points"] if point["factor"] == factor), None)


def within_budget(record: Record) -> Point | None:
    """The strongest factor that the validation allows."""
    allowed = [point for point in record["points"] if _mean(point, "cosine", ("keep", "unrelated"), "validation") >= BUDGET]
    return max(allowed, key=lambda point: float(point["factor"]), default=None)


def _variants(records: Iterable[Record]) -> list[str]:
    return list(dict.fromkeys(record["variant"] for record in records))


def _factors(variant: str, records: Iterable[Record]) -> list[float]:
    return sorted({point["factor"] for record in records if record["variant"] == variant for point in record["points"]})


def _mean(point: Point, what: str, cells: Sequence[Cell], part: str = "test") -> float:
    return fmean(point[part][cell][what] for cell in cells)


def _relative(after: Sequence[float], before: Sequence[float]) -> Interval:
    """The sum over subjects against the origin's, the same subjects on both sides."""
    drawn = np.random.default_rng(0).integers(0, len(after), (RESAMPLES, len(after)))
    above, below = np.array(after, np.float64), np.array(before, np.float64)
    low, high = np.quantile(above[drawn].sum(1) / np.maximum(below[drawn].sum(1), 1e-9), (0.025, 0.975))
    return Interval(round(float(above.sum() / max(below.sum(), 1e-9)), 4), round(float(low), 4), round(float(high), 4))
