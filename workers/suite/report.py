"""From measurements to numbers: rates beside the origin's, intervals, and the trade-off that each method offers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erasers.evaluate.markdown import table
from workers.detection.detectors import CELLS, SPELLINGS
from workers.suite.cells import ORIGIN, Measured

RESAMPLES = 2000
KEPT = 0.95
"""The trade-off is read where others keep this share of their origin."""

Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Ratio:
    """A rate relative to the origin's on the same prompts and seeds, with a 95 % bootstrap interval over clips."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Point:
    """One variant at one factor, over all concepts."""

    variant: str
    factor: float
    erased: Ratio
    synonym: Ratio
    kept: Ratio


def same_clips(measured: Sequence[Measured]) -> list[Measured]:
    """The first clips of each, as many as the one that has fewest: what is compared was filmed from the same noise."""
    fewest = min((len(one.shares) for one in measured), default=0)
    return [one.first(fewest) for one in measured]


def points(measured: Iterable[Measured]) -> list[Point]:
    """Of every variant and factor that was filmed for every concept, in the order of the measurements."""
    found: dict[tuple[str, float], dict[str, dict[str, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for one in measured:
        found[one.variant, one.factor][one.cell][one.concept] = one
    origin = found.pop((ORIGIN, 0.0), {})
    concepts = set(origin.get("plain", {}))
    return [
        Point(variant, factor, *(ratio(cells[cell], origin[cell]) for cell in CELLS))
        for (variant, factor), cells in found.items()
        if all(set(cells[cell]) == set(origin.get(cell, {})) == concepts for cell in CELLS)
    ]


def ratio(measured: Mapping[str, Measured], origin: Mapping[str, Measured]) -> Ratio:
    """By concept. Over the clips that all have; those of an interval are drawn anew within a concept, the same on both sides."""
    concepts = sorted(measured)
    clips = min(len(side[concept].shares) for side in (measured, origin) for concept in concepts)
    above, below = (  # None becomes nan
        np.array([side[concept].shares[:clips] for concept in concepts], np.float64) for side in (measured, origin)
    )
    drawn = np.random.default_rng(0).integers(0, clips, (RESAMPLES, *above.shape))
    rows = np.arange(len(concepts))[:, None]
    low, high = np.quantile(relative(above[rows, drawn], below[rows, drawn], axis=(1, 2)), (0.025, 0.975))
    return Ratio(round(float(relative(above, below)), 4), round(float(low), 4), round(float(high), 4))


def relative(above: Shares, below: Shares, axis: tuple[int, ...] | None = None) -> Shares:
    """Shares relative to the origin's of the same clips; those that count on one side only, nan on the other, are left out."""
    below = np.where(np.isnan(above), np.nan, below)
    ratio: Shares = np.nansum(above, axis) / np.maximum(np.nansum(below, axis), 1e-9)  # as many count on either side
    return ratio


def own(found: Sequence[Point], variant: str) -> Point | None:
    return next((point for point in found if point.variant == variant and point.factor == 1.0), None)


def best_within(found: Sequence[Point], variant: str, kept: float = KEPT) -> Point | None:
    """The point that erases most, names and synonyms together, of those at which others are kept."""
    allowed = [point for point in found if point.variant == variant and point.kept.value >= kept]
    return min(allowed, key=lambda point: point.erased.value + point.synonym.value, default=None)


def as_json(suite: dict[str, object], measured: Sequence[Measured]) -> dict[str, Any]:
    found = points(measured)
    origin: dict[str, dict[str, float]] = {one.cell: {} for one in measured}
    for one in measured:
        if one.variant == ORIGIN:
            origin[one.cell][one.concept] = round(one.rate, 4)
    rows = [
        {"variant": point.variant, "factor": point.factor}
        | {name: vars(getattr(point, name)) for name in ("erased", "synonym", "kept")}
        for point in found
    ]
    spellings: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for one in measured:
        if one.cell in SPELLINGS and one.variant != ORIGIN:
            spellings[one.variant][one.cell][one.concept] = round(one.rate, 4)
    clips = max((len(one.shares) for one in measured), default=0)
    return {"suite": suite, "clips": clips, "origin": origin, "points": rows, "spellings": spellings}


def markdown(suite: dict[str, object], measured: Sequence[Measured]) -> str:
    found = points(measured)
    variants = list(dict.fromkeys(point.variant for point in found))
    rows = []
    for variant in variants:
        at_own, best = own(found, variant), best_within(found, variant)
        cells = ["", "", ""] if at_own is None else [_text(at_own.erased), _text(at_own.synonym), _text(at_own.kept)]
        trade = (
            f"none keeps {KEPT:.0%}"
            if best is None
            else f"{best.factor:g}: {best.erased.value:.1%}, {best.synonym.value:.1%}, {best.kept.value:.1%}"
        )
        rows.append([variant, *cells, trade])
    means = {cell: np.mean([one.rate for one in measured if one.variant == ORIGIN and one.cell == cell]) for cell in CELLS}
    clips = max((len(one.shares) for one in measured), default=0)
    head = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in suite.items())
    origin = ", ".join(f"{cell} {mean:.1%}" for cell, mean in means.items())
    return (
        f"{head}; {clips} clips of each concept in a cell\n\n"
        f"Origin: {origin}. Everything below is relative to it, with 95 % bootstrap intervals over clips.\n\n"
        + table(("method", "erased", "synonyms", "kept", "at best: strength ×, erased, synonyms, kept"), rows)
    )


def _text(ratio: Ratio) -> str:
    return f"{ratio.value:.1%} ({ratio.low:.1%} to {ratio.high:.1%})"
