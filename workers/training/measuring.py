"""The numbers of one eraser on this trainer's model: in embeddings, on clips, and together with the other active erasers.

A training measures what it has made, and an evaluation what was made elsewhere or earlier, with the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import JsonValue

from erasers import Eraser
from workers.contract import MeasuringTask
from workers.detection.detectors import detector_for
from workers.detection.watch import Watch
from workers.pipelines.base import VideoPipeline
from workers.training.evaluation import film_cells
from workers.training.interactions import Load, measure_interactions
from workers.training.pairs import Material

OnProgress = Callable[[str, int, int, dict[str, Any]], None]
"""(stage, step, total, info), as the library reports it. What it raises ends the job."""


def measure(
    pipeline: VideoPipeline,
    eraser: Eraser,
    task: MeasuringTask,
    material: Material,
    report: dict[str, Any],
    *,
    on_progress: OnProgress,
    evaluation_clips: int,
    interaction_clips: int,
    load: Load | None,
    watch: Watch,
) -> dict[str, JsonValue]:
    """`report`, the library's numbers from embeddings, with those that the gate needs, those of clips where a detector can judge
    them, and one interaction per eraser of `task.active` where `load` is given."""
    evaluation = _with_gate_numbers(report)
    filmed = None
    if (detector := detector_for(pipeline.card().id, task.concept, watch)) is not None and evaluation_clips > 0:
        filmed = film_cells(
            pipeline,
            eraser,
            detector,
            n=evaluation_clips,
            seed=task.seed,
            tick=lambda done, total: on_progress("generate", done, total, {}),
        )
        evaluation |= filmed.numbers()
    if load is not None and task.active:
        found = measure_interactions(
            pipeline,
            eraser,
            task,
            material,
            load=load,
            filmed=filmed,
            clips=interaction_clips,
            watch=watch,
            tick=lambda done, total: on_progress("interactions", done, total, {}),
        )
        evaluation["interactions"] = [interaction.model_dump(mode="json") for interaction in found]
    return evaluation


def _with_gate_numbers(report: dict[str, Any]) -> dict[str, Any]:
    """The library's report, and the three of its numbers that the gate reads where no detector sees the concept."""
    drift = max(report["drift_negative"], report.get("drift_keep", 0.0))
    return {**report, "probe_before": report["detected_before"], "probe_after": report["detected_after"], "drift": drift}
