"""A run as pictures: the trade-off that each method offers, and how CLEAR's search came to its blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

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
    _name(read, "left of the concept, relative to the origin", "others and neighbours still read, relative to the origin")
    _name(near, "left of the concept, relative to the origin", "cosine of neighbours with their unerased selves")
    if near.get_lines():
        near.legend(title="large point: its own strength", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _save(figure, path)


def searches(records: Sequence[Record], path: Path) -> None:
    """Of `clear`, one line a subject, a dot on the block chosen: the course of p, and by block L_con and a probe's error."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    course, l_con, probe = figure.subplots(1, 3)
    searched = [record for record in records if record["variant"] == "clear"]
    for index, record in enumerate(searched):
        search, layer, colour = record["search"], record["layer"], f"C{index}"
        steps = search["trajectory"]
        course.plot([point["step"] for point in steps], [point["p"][layer] for point in steps], color=colour)
        for axes, values in ((l_con, search["scan_l_con"]), (probe, search["probe_error"])):
            axes.plot(values, color=colour, label=f"{record['subject']}: block {layer}")
            axes.plot(layer, values[layer], "o", color=colour)
    _name(course, "step of the search", "p of the block that was chosen")
    _name(l_con, "block", "L_con under the finished SAE")
    _name(probe, "block", "error of a linear probe, training pairs")
    if searched:
        probe.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    _save(figure, path)


def _line(
    axes: Axes, name: str, index: int, course: Sequence[tuple[float, Row]], height: Callable[[Row], Interval | float]
) -> None:
    """One method, with intervals where there are any."""
    left, up = [one.left for _, one in course], [height(one) for _, one in course]
    across = [interval.value for interval in left]
    values = [one.value if isinstance(one, Interval) else one for one in up]
    bars = [one for one in up if isinstance(one, Interval)]
    axes.errorbar(
        across, values, xerr=_reach(left), yerr=_reach(bars) if bars else None, color=f"C{index}", elinewidth=0.5, label=name
    )
    axes.scatter(across, values, [60 if factor == 1.0 else 15 for factor, _ in course], color=f"C{index}", zorder=3)


def _reach(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    below = [max(0.0, interval.value - interval.low) for interval in intervals]
    return below, [max(0.0, interval.high - interval.value) for interval in intervals]


def _name(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})  # the same records make the same bytes
