"""The trade-off that a suite found, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from erasers.evaluate.pictures import draw_course, label, name_methods, save
from workers.suite.report import Point


def trade_off(found: Sequence[Point], path: Path) -> None:
    """What is kept of the others over what is left of the concept: one line a method, one point a strength, with intervals."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for index, variant in enumerate(dict.fromkeys(point.variant for point in found)):
        course = sorted((point for point in found if point.variant == variant), key=lambda point: point.factor)
        draw_course(
            axes,
            variant,
            index,
            factors=[point.factor for point in course],
            across=[point.erased for point in course],
            up=[point.kept for point in course],
        )
    label(axes, "left of the concept, relative to the origin", "kept of the others, relative to the origin")
    axes.set_xlim(left=-0.02)
    name_methods(axes)
    save(figure, path)
