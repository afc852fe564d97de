"""The paper's tables that have a counterpart here, under its numbers, from what a suite measured. Nothing here measures.

Rates are shares of frames in which the detector sees what the prompt asks for, where the paper has a detector's generation
rate or a score of CLIP; imaging and aesthetic quality have no counterpart in a world of sprites, what is kept of other
concepts stands in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from erasers.evaluate.markdown import table
from workers.detection.detectors import CELLS, SPELLINGS, Cell
from workers.miniature.vocabulary import PAPER_TEN, STYLES
from workers.suite.bars import SPELLING_BOUND
from workers.suite.cells import ORIGIN, Measured
from workers.suite.report import relative
from workers.suite.searches import Search
from workers.suite.variants import DEFAULT, VARIANTS

STACKED = tuple(name for name, variant in VARIANTS.items() if variant.beside)
BLOCKS = tuple(name for name in VARIANTS if name.startswith("clear-block-") and name not in STACKED)
PAIRS = tuple(name for name in VARIANTS if name.startswith("clear-pairs-"))
ABLATIONS = (
    "clear",
    "clear-projection",
    "clear-contrast",
    "clear-topk",
    "clear-gated",
    "project-gated",
    "clear-paper",
    "project",
    "safree-reference",
)
STEERING = ("project", "shift", "leace")


def tables(measured: Sequence[Measured], searches: Sequence[Search]) -> str:
    """Every table that there are measurements for, as Markdown."""
    found = Rates(measured)
    made = (
        _concepts("Table 1: objects", found, PAPER_TEN),
        _concepts("Tables 4 and 14: styles", found, tuple(STYLES)),
        _search("Table 5: how the block is found", found, searches),
        _strength("Tables 6 and 17: strength", found, ("clear",)),
        _rows("Table 7: block by block", found, BLOCKS),
        _strength("Table 8: against a direction", found, ("clear", *STEERING)),
        _evasive("Table 9: evasive prompts", found),
        _scene("The rest of the scene", found),
        _spellings("Other spellings", found),
        _probes("Table 11: what a probe reads, block by block", searches),
        _rows("Tables 15 and 19: several concepts at once", found, ("clear", *STACKED)),
        _rows("Table 18: how many pairs", found, (*PAIRS, "clear")),
        _rows("Ablations", found, ABLATIONS),
    )
    return "\n".join(table for table in made if table)


class Rates:
    """Means over clips, and over concepts that both sides have."""

    def __init__(self, measured: Iterable[Measured]) -> None:
        self._cells = {(one.concept, one.variant, one.factor, one.cell): one for one in measured}
        self.variants = tuple(dict.fromkeys(one.variant for one in self._cells.values() if one.variant != ORIGIN))

    def concepts(self, variant: str, among: Sequence[str] | None = None) -> tuple[str, ...]:
        """Those that `variant` was filmed for, in every cell, at its own strength."""
        factor = 0.0 if variant == ORIGIN else 1.0
        names = dict.fromkeys(concept for concept, *_ in self._cells)
        return tuple(
            name
            for name in names
            if (among is None or name in among) and all((name, variant, factor, cell) in self._cells for cell in CELLS)
        )

    def factors(self, variant: str) -> tuple[float, ...]:
        return tuple(sorted({factor for _, name, factor, _ in self._cells if name == variant}))

    def rate(self, variant: str, concepts: Sequence[str], cell: Cell, factor: float = 1.0) -> float | None:
        """None where it was not measured for all of them."""
        keys = [(concept, variant, 0.0 if variant == ORIGIN else factor, cell) for concept in concepts]
        if not keys or not all(key in self._cells for key in keys):
            return None
        return float(np.mean([self._cells[key].rate for key in keys]))

    def kept(self, variant: str, concepts: Sequence[str], factor: float = 1.0) -> float | None:
        """The others' rate relative to the origin's on the same clips."""
        sides = ((variant, factor), (ORIGIN, 0.0))
        cells = [[self._cells.get((concept, name, at, "others")) for concept in concepts] for name, at in sides]
        if not concepts or any(one is None for side in cells for one in side):
            return None
        above, below = (np.array([one.shares for one in side if one], np.float64) for side in cells)
        return float(relative(above, below))

    def scene_kept(self, variant: str, concepts: Sequence[str]) -> float | None:
        """In prompts with the concept, the share of frames with everything else that they ask for, relative to the origin's."""
        above, below = (self.rate(name, concepts, "scene") for name in (variant, ORIGIN))
        return None if above is None or not below else above / below

    def unchanged(self, variant: str, concepts: Sequence[str]) -> float | None:
        """The share of prompts without the concept whose embeddings are the origin's, bit for bit."""
        found = [self._cells.get((concept, variant, 1.0, "others")) for concept in concepts]
        shares = [one.unchanged for one in found if one and one.unchanged is not None]
        return float(np.mean(shares)) if shares and len(shares) == len(found) else None


def _concepts(title: str, found: Rates, concepts: Sequence[str]) -> str:
    """One column a concept: what is left of it on plain prompts."""
    there = found.concepts(ORIGIN, concepts)
    rows = [["origin", *(_percent(found.rate(ORIGIN, (name,), "plain")) for name in there), _mean(found, ORIGIN, there), ""]]
    for variant in _measured(found, DEFAULT, there):
        each = (_percent(found.rate(variant, (name,), "plain")) for name in there)
        rows.append([variant, *each, _mean(found, variant, there), _percent(found.kept(variant, there))])
    return _table(title, ["method", *there, "mean", "others kept"], rows)


def _search(title: str, found: Rates, searches: Sequence[Search]) -> str:
    """Manual: the best block for a concept, of all that were filmed, by what is left, of synonyms too, and what is kept."""
    rows = []
    concepts = _common(found, ("clear", "clear-reconstruction", *BLOCKS))
    layer = {(one.concept, one.variant): one.layer for one in searches}
    for concept in concepts:

        def loss(block: str, concept: str = concept) -> float:
            left, synonyms = (found.rate(block, (concept,), cell) or 0.0 for cell in ("plain", "synonym"))
            return left + synonyms + max(0.0, 1.0 - (found.kept(block, (concept,)) or 0.0))

        manual = min(BLOCKS, key=loss)
        for name, variant in (("manual", manual), ("w/o L_con", "clear-reconstruction"), ("w/ L_con", "clear")):
            cells = (found.rate(variant, (concept,), cell) for cell in ("plain", "synonym"))
            block = layer.get((concept, VARIANTS[variant].trained_as), "")
            rows.append([concept, name, str(block), *map(_percent, cells), _percent(found.kept(variant, (concept,)))])
    return _table(title, ["concept", "search", "block", "left", "left, synonyms", "others kept"], rows)


def _strength(title: str, found: Rates, variants: Sequence[str]) -> str:
    rows = []
    there = _common(found, variants)
    for variant in _measured(found, variants, there):
        for factor in found.factors(variant):
            left = (found.rate(variant, there, cell, factor) for cell in ("plain", "synonym"))
            rows.append([variant, f"{factor:g}", *map(_percent, left), _percent(found.kept(variant, there, factor))])
    return _table(title, ["method", "strength, times its own", "left", "left, synonyms", "others kept"], rows)


def _evasive(title: str, found: Rates) -> str:
    cells: tuple[Cell, ...] = tuple(cell for cell in CELLS if cell != "others")
    there = _common(found, [name for name in DEFAULT if name in found.variants])
    rows = [
        [variant, *(_percent(found.rate(variant, there, cell)) for cell in cells)]
        for variant in (ORIGIN, *_measured(found, DEFAULT, there))
    ]
    return _table(title, ["method", *cells], rows if len(rows) > 1 else [])


def _scene(title: str, found: Rates) -> str:
    """Prompts with the concept among other things, which must stay: background, motion, style, second object."""
    there = _common(found, [])
    origin = found.rate(ORIGIN, there, "scene")
    rows = [
        [variant, _percent(origin), _percent(found.rate(variant, there, "scene")), _percent(kept)]
        for variant in _measured(found, tuple(VARIANTS), there)
        if (kept := found.scene_kept(variant, there)) is not None
    ]
    return _table(title, ["method", "origin", "with the eraser", "scene kept"], rows)


def _spellings(title: str, found: Rates) -> str:
    """Beside each share that of the origin, on the same prompts and seeds: a model may draw little from such a word, and left
    is judged relative to that."""
    there = _common(found, [name for name in DEFAULT if name in found.variants])
    origin = [found.rate(ORIGIN, there, spelling) for spelling in SPELLINGS]
    rows = []
    for variant in _measured(found, DEFAULT, there):
        left = [found.rate(variant, there, spelling) for spelling in SPELLINGS]
        if None not in (*left, *origin):
            beside = (_percent(share) for pair in zip(left, origin, strict=True) for share in pair)
            rows.append([variant, *beside, "yes" if all(map(_within, left, origin)) else "no"])
    head = [
        "method",
        *(name for spelling in SPELLINGS for name in (spelling, "origin")),
        f"each at most {SPELLING_BOUND:.0%} of the origin's",
    ]
    return _table(title, head, rows)


def _within(left: float | None, origin: float | None) -> bool:
    return left is not None and origin is not None and left <= SPELLING_BOUND * origin


def _rows(title: str, found: Rates, variants: Sequence[str]) -> str:
    there = _common(found, [name for name in variants if name in found.variants])
    rows = []
    for variant in _measured(found, variants, there):
        left = (found.rate(variant, there, cell) for cell in ("plain", "synonym"))
        rows.append(
            [variant, *map(_percent, left), _percent(found.kept(variant, there)), _percent(found.unchanged(variant, there))]
        )
    head = ["eraser", "left", "left, synonyms", "others kept", "others' prompts unchanged"]
    return _table(title, head, rows if len(rows) > 1 else [])


def _probes(title: str, searches: Sequence[Search]) -> str:
    """Error of a linear probe, and L_con under the finished SAE: means over concepts; how often the search chose the block."""
    own = [one for one in searches if one.variant == "clear"]
    if not own:
        return ""
    blocks = range(len(own[0].probe_error))

    def row(name: str, value: Callable[[int], str]) -> list[str]:
        return [name, *map(value, blocks)]

    rows = [
        row("probe error", lambda block: f"{np.mean([one.probe_error[block] for one in own]):.1%}"),
        row("L_con", lambda block: f"{np.mean([one.l_con[block] for one in own]):.3f}"),
        row("chosen for", lambda block: str(sum(one.layer == block for one in own))),
    ]
    return _table(title, ["block", *map(str, blocks)], rows)


def _common(found: Rates, variants: Sequence[str]) -> tuple[str, ...]:
    """The concepts that all of them were filmed for."""
    each = [set(found.concepts(variant)) for variant in (ORIGIN, *variants)]
    return tuple(name for name in found.concepts(ORIGIN) if all(name in names for names in each))


def _measured(found: Rates, variants: Sequence[str], concepts: Sequence[str]) -> list[str]:
    return [name for name in variants if concepts and set(concepts) <= set(found.concepts(name))]


def _mean(found: Rates, variant: str, concepts: Sequence[str]) -> str:
    return _percent(found.rate(variant, concepts, "plain"))


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Empty without rows, or with the origin's alone."""
    if not rows or (len(rows) == 1 and rows[0][0] == "origin"):
        return ""
    return "\n".join([f"## {title}", "", table(head, rows), ""])
