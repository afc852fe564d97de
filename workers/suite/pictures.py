"""What a suite found, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workers.suite.report import Point, Ratio
from workers.suite.searches import Search


def trade_off(found: Sequence[Point], path: Path) -> None:
    """What is kept of the others over what is left of the concept: one line a method, one point a strength, with intervals."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    variants = list(dict.fromkeys(point.variant for point in found))
    for index, variant in enumerate(variants):
        course = sorted((point for point in found if point.variant == variant), key=lambda point: point.factor)
        left, kept = ([getattr(point, name) for point in course] for name in ("erased", "kept"))
        axes.errorbar(
            [ratio.value for ratio in left],
            [ratio.value for ratio in kept],
            xerr=_reach(left),
            yerr=_reach(kept),
            color=f"C{index}",
            elinewidth=0.5,
            label=variant,
        )
        sizes = [60 if point.factor == 1 else 15 for point in course]
        axes.scatter([ratio.value for ratio in left], [ratio.value for ratio in kept], sizes, color=f"C{index}", zorder=3)
    axes.set(xlabel="left of the concept, relative to the origin", ylabel="kept of the others, relative to the origin")
    axes.set_xlim(left=-0.02)
    axes.grid(alpha=0.3)
    if variants:
        axes.legend(title="large point: its own strength", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    _save(figure, path)


def searches(found: Sequence[Search], path: Path) -> None:
    """The course of p and, block by block, what a probe reads and L_con says: one line a concept, a dot on the block chosen."""
    figure = Figure(figsize=(11, 3.5), layout="constrained")
    course, probe, l_con = figure.subplots(1, 3)
    for index, search in enumerate(found):
        colour = f"C{index}"
        course.plot([step for step, _ in search.trajectory], [p[search.layer] for _, p in search.trajectory], color=colour)
        for axes, values in ((probe, search.probe_error), (l_con, search.l_con)):
            axes.plot(values, color=colour, label=f"{search.concept}: block {search.layer}")
            axes.plot(search.layer, values[search.layer], "o", color=colour)
    _name(course, "p of the block that was chosen", "step of the search")
    _name(probe, "error of a linear probe", "block")
    _name(l_con, "L_con under the finished SAE", "block")
    if found:
        l_con.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize="small")
    _save(figure, path)


def _reach(ratios: Sequence[Ratio]) -> tuple[list[float], list[float]]:
    """How far each interval reaches below and above its value."""
    return [max(0.0, ratio.value - ratio.low) for ratio in ratios], [max(0.0, ratio.high - ratio.value) for ratio in ratios]


def _name(axes: Axes, title: str, x: str) -> None:
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel(x)
    axes.grid(alpha=0.3)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})  # the same measurements make the same bytes
