"""What the default must reach, and whether it does: with as many clips as each cell has, beside the origin on the same clips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from erasers.evaluate.markdown import table
from workers.detection.detectors import Cell
from workers.suite.cells import ORIGIN, Measured
from workers.suite.report import Point, Ratio, own, ratio
from workers.suite.variants import DEFAULT

SHIPPED = DEFAULT[0]
"""The method that acts where nobody says which."""
GATED = "project-gated"
SPELLING_BOUND = 0.10
"""What may be left of a concept whose name was spelt otherwise, relative to what the origin makes of that spelling."""
MARGIN = 0.01
"""What two points of a trade-off curve may differ by before one is called better."""


@dataclass(frozen=True)
class Bar:
    """A bound on a rate relative to the origin's."""

    name: str
    variant: str
    cell: Cell
    bound: float

    @property
    def at_most(self) -> bool:
        """Less is better, but of what must stay."""
        return self.cell not in ("others", "scene")

    def met(self, value: float) -> bool:
        return value <= self.bound if self.at_most else value >= self.bound


BARS = (
    Bar("erased", SHIPPED, "plain", 0.02),
    Bar("others kept", SHIPPED, "others", 0.97),
    Bar("scene kept", SHIPPED, "scene", 0.95),
    Bar("held-out synonyms", SHIPPED, "synonym", 0.05),
    Bar("misspelt", SHIPPED, "misspelt", SPELLING_BOUND),
    Bar("look-alike letters", SHIPPED, "homoglyph", SPELLING_BOUND),
    Bar("five on one block, erased", "project-block-3-stack-5", "plain", 0.03),
    Bar("five on one block, others kept", "project-block-3-stack-5", "others", 0.95),
    Bar("five, each on its own block, erased", "project-stack-5", "plain", 0.03),
    Bar("five, each on its own block, others kept", "project-stack-5", "others", 0.95),
)


@dataclass(frozen=True)
class Reached:
    bar: Bar
    ratio: Ratio
    clips: int
    """of each concept"""
    concepts: int
    worst: str
    """the concept that is furthest from the bar"""
    worst_value: float


def reached(measured: Sequence[Measured]) -> Iterator[Reached]:
    """Of every bar that there are measurements for."""
    for bar in BARS:
        above, below = _cells(measured, bar.variant, bar.cell, 1.0), _cells(measured, ORIGIN, bar.cell, 0.0)
        there = [concept for concept in above if concept in below]
        if not there:
            continue
        each = {name: ratio({name: above[name]}, {name: below[name]}).value for name in there}
        worst = (max if bar.at_most else min)(there, key=lambda name: each[name])
        over_all = ratio({name: above[name] for name in there}, {name: below[name] for name in there})
        clips = min(len(one.shares) for side in (above, below) for name, one in side.items() if name in there)
        yield Reached(bar, over_all, clips, len(there), worst, each[worst])


def unchanged(measured: Sequence[Measured]) -> tuple[float, int] | None:
    """With the gate on, the share of prompts without the concept whose embeddings are the origin's, and how many prompts."""
    found = [(one.unchanged, one.counted) for one in _cells(measured, GATED, "others", 1.0).values() if one.unchanged is not None]
    prompts = sum(counted for _, counted in found)
    return (sum(share * counted for share, counted in found) / prompts, prompts) if prompts else None


def ahead(found: Sequence[Point]) -> dict[str, tuple[int, int, list[str]]]:
    """By method: how many of its points the default leaves no more and keeps no less than, at some strength; all; the rest."""
    ours = [(1.0, 1.0), *(_left_and_kept(point) for point in found if point.variant == SHIPPED)]  # at strength 0, too
    result: dict[str, tuple[int, int, list[str]]] = {}
    for variant in dict.fromkeys(point.variant for point in found if point.variant not in (SHIPPED, ORIGIN)):
        theirs = [point for point in found if point.variant == variant]
        lost = []
        for point in theirs:
            left, kept = _left_and_kept(point)
            if not any(our_left <= left + MARGIN and our_kept >= kept - MARGIN for our_left, our_kept in ours):
                lost.append(f"at {point.factor:g}: {left:.1%} left, {kept:.1%} kept")
        result[variant] = (len(theirs) - len(lost), len(theirs), lost)
    return result


def as_json(measured: Sequence[Measured]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        vars(one.bar)
        | {"met": one.bar.met(one.ratio.value), "measured": vars(one.ratio), "clips": one.clips, "concepts": one.concepts}
        | {"worst": {"concept": one.worst, "value": one.worst_value}}
        for one in reached(measured)
    ]
    gate = unchanged(measured)
    if gate is not None:
        share, prompts = gate
        rows.append(
            {"name": "unchanged", "variant": GATED, "bound": 1.0, "met": share == 1.0, "measured": share, "prompts": prompts}
        )
    return rows


def markdown(measured: Sequence[Measured], found: Sequence[Point]) -> str:
    """Empty where nothing of it was measured."""
    rows = []
    for one in reached(measured):
        sign = "at most" if one.bar.at_most else "at least"
        missed = abs(one.ratio.value - one.bar.bound)
        verdict = "yes" if one.bar.met(one.ratio.value) else f"no, by {missed * 100:.1f} points"
        interval = f"{one.ratio.value:.1%} ({one.ratio.low:.1%} to {one.ratio.high:.1%})"
        worst = f"{one.worst}, {one.worst_value:.1%}"
        clips = f"{one.concepts} × {one.clips}"
        rows.append([one.bar.name, one.bar.variant, f"{sign} {one.bar.bound:.0%}", interval, clips, worst, verdict])
    gate = unchanged(measured)
    if gate is not None:
        share, prompts = gate
        verdict = "yes" if share == 1.0 else f"no, by {(1 - share) * 100:.1f} points"
        rows.append(["others' prompts unchanged, bit for bit", GATED, "100%", f"{share:.1%}", f"{prompts} prompts", "", verdict])
    if own(found, SHIPPED) is not None:
        for variant, (won, points, lost) in ahead(found).items():
            verdict = "yes" if won == points else f"no: {'; '.join(lost)}"
            rows.append([f"not behind {variant} over its curve", SHIPPED, f"{points} points", f"{won} points", "", "", verdict])
    if not rows:
        return ""
    head = ("bar", "eraser", "bound", "measured", "concepts × clips", "worst", "met")
    said = (
        "Rates are relative to the origin's on the same prompts and seeds, over all concepts. Not behind a method: at each of "
        f"its points {SHIPPED}, at some strength, leaves no more (names and synonyms) and keeps no less, but for {MARGIN:.0%}."
    )
    return "\n".join(["## The bars", "", said, "", table(head, rows), ""])


def _left_and_kept(point: Point) -> tuple[float, float]:
    """Names and synonyms together; more kept than all there was is chance."""
    return (point.erased.value + point.synonym.value) / 2, min(1.0, point.kept.value)


def _cells(measured: Sequence[Measured], variant: str, cell: Cell, factor: float) -> Mapping[str, Measured]:
    return {one.concept: one for one in measured if (one.variant, one.cell, one.factor) == (variant, cell, factor)}
