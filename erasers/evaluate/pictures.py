"""Evaluations as pictures: trade-offs over strength, and how searches came to their blocks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.figure import Figure


class Interval(Protocol):
    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Search(Protocol):
    """How one eraser's block was found."""

    @property
    def concept(self) -> str: ...
    @property
    def layer(self) -> int: ...
    @property
    def trajectory(self) -> Sequence[tuple[int, Sequence[float]]]:
        """(step, p over the blocks)"""

    @property
    def l_con(self) -> Sequence[float]: ...
    @property
    def probe_error(self) -> Sequence[float]: ...


def draw_course(
    axes: Axes,
    name: str,
    index: int,
    *,
    factors: Sequence[float],
    across: Sequence[Interval],
    up: Sequence[Interval],
) -> None:
    """One method, one point a strength, larger at its own; with intervals."""
    colour, x, y = f"C{index}", [interval.value for interval in across], [interval.value for interval in up]
    axes.errorbar(x, y, xerr=_reach(across), yerr=_reach(up), color=colour, elinewidth=0.5, label=name)
    axes.scatter(x, y, [60 if factor == 1.0 else 15 for factor in factors], color=colour, zorder=3)


def draw_searches(found: Sequence[Search], path: Path) -> None:
    """One line an eraser, a dot on the block chosen: the course of p, and by block L_con and a probe's error."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    course, l_con, probe = figure.subplots(1, 3)
    for index, search in enumerate(found):
        colour = f"C{index}"
        course.plot([step for step, _ in search.trajectory], [p[search.layer] for _, p in search.trajectory], color=colour)
        for axes, values in ((l_con, search.l_con), (probe, search.probe_error)):
            axes.plot(values, color=colour, label=f"{search.concept}: block {search.layer}")
            axes.plot(search.layer, values[search.layer], "o", color=colour)
    label(course, "step of the search", "p of the block that was chosen")
    label(l_con, "block", "L_con under the finished SAE")
    label(probe, "block", "error of a linear probe, training pairs")
    if found:
        probe.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    save(figure, path)


def name_methods(axes: Axes) -> None:
    """Beside the last axes of a trade-off."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(title="large point: its own strength", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def label(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=100, metadata={"Software": None})  # the same measurements make the same bytes


def _reach(intervals: Sequence[Interval]) -> tuple[list[float], list[float]]:
    """How far each reaches below and above its value."""
    below = [max(0.0, interval.value - interval.low) for interval in intervals]
    return below, [max(0.0, interval.high - interval.value) for interval in intervals]
