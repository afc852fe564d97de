"""A run as pictures: the trade-off that each method offers, and how CLEAR's search came to its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from erasers.evaluate.pictures import draw_course, draw_searches, label, name_methods, save
from erasers.testbed.measure import Record
from erasers.testbed.summary import Interval, Row, Section


def trade_off(found: Section | None, path: Path) -> None:
    """Over what is left of the concept: what is still read of the rest, and how near the rest stays to itself."""
    figure = Figure(figsize=(12, 5), layout="constrained")
    read, near = figure.subplots(1, 2)
    for index, own in enumerate(found.own if found else ()):
        course = found.curve(own.variant) if found else []
        _line(read, index, course, lambda one: one.kept)
        _line(near, index, course, lambda one: one.cosine_near)
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


def _line(axes: Axes, index: int, course: Sequence[Row], height: Callable[[Row], Interval]) -> None:
    draw_course(
        axes,
        course[0].variant,
        index,
        factors=[one.factor or 0.0 for one in course],
        across=[one.left for one in course],
        up=[height(one) for one in course],
    )
