"""A run as pictures: the trade-off that each method offers, and how CLEAR's search came to its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from erasers.evaluate.pictures import draw_course, draw_searches, label, name_methods, save
from erasers.testbed.measure import Record
from erasers.testbed.summary import Interval, Row, at, row
from erasers.testbed.variants import METHODS


def trade_off(records: Sequence[Record], path: Path) -> None:
    """Over what is left of the concept: what is still read of the rest, and how near the rest stays to itself."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    read, near = figure.subplots(1, 2)
    for index, variant in enumerate(METHODS):
        course = [(factor, one) for factor in variant.factors if (one := row(variant.name, records, at(factor))) is not None]
        if course:
            _line(read, variant.name, index, course, lambda one: one.kept)
            _line(near, variant.name, index, course, lambda one: one.cosine_near)
    label(read, "left of the concept, relative to the origin", "others and neighbours still read, relative to the origin")
    label(near, "left of the concept, relative to the origin", "cosine of neighbours with their unerased selves")
    name_methods(near)
    save(figure, path)


@dataclass(frozen=True)
class _Search:
    concept: str
    layer: int
    trajectory: tuple[tuple[int, list[float]], ...]
    l_con: list[float]
    probe_error: list[float]


def searches(records: Sequence[Record], path: Path) -> None:
    """Of `clear`, one line a subject."""
    draw_searches([_search(record) for record in records if record["variant"] == "clear"], path)


def _search(record: Record) -> _Search:
    found = record["search"]
    course = tuple((point["step"], point["p"]) for point in found["trajectory"])
    return _Search(record["subject"], record["layer"], course, found["scan_l_con"], found["probe_error"])


def _line(
    axes: Axes, name: str, index: int, course: Sequence[tuple[float, Row]], height: Callable[[Row], Interval | float]
) -> None:
    """One method, with intervals where there are any."""
    up = [height(one) for _, one in course]
    draw_course(
        axes,
        name,
        index,
        factors=[factor for factor, _ in course],
        across=[one.left for _, one in course],
        up=[one.value if isinstance(one, Interval) else one for one in up],
        up_intervals=[one for one in up if isinstance(one, Interval)] or None,
    )
