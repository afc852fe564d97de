"""What a new eraser and those that were active when it was accepted do together, in pairs: on clips where frames can be judged,
else in the embeddings.

A pair that cannot be measured, because an eraser cannot be loaded say, fails nothing: the reason is in its place.
"""

from __future__ import annotations

from collections.abc import Callable

from erasers import Eraser
from erasers.errors import PairsError, StackError
from erasers.errors import PromptTooLong as LongPrompt
from workers.contract import EraserPin, Interaction, MeasuringTask
from workers.detection.detectors import detector_for
from workers.detection.watch import Watch
from workers.errors import ErasureRefused, TaskRefused
from workers.pipelines.base import VideoPipeline
from workers.training.evaluation import Filmed, Tick
from workers.training.interactions_filmed import CELLS, FilmedPairs
from workers.training.interactions_read import ReadPairs
from workers.training.pairs import Material

Load = Callable[[EraserPin], Eraser]
"""Raises ErasureRefused for what cannot be loaded as it is pinned."""

_NOT_MEASURED = (ErasureRefused, TaskRefused, PairsError, LongPrompt, StackError)
"""What is wrong with an eraser or its prompts. A store that does not answer, or a device without memory, is another matter."""


def measure_interactions(
    pipeline: VideoPipeline,
    eraser: Eraser,
    task: MeasuringTask,
    material: Material,
    *,
    load: Load,
    filmed: Filmed | None,
    clips: int,
    watch: Watch,
    tick: Tick,
) -> list[Interaction]:
    """One for each of `task.active`, in their order. `filmed` is the eraser's own evaluation, if there is one; `clips`, in each
    cell of a pair, are at most as many as it has."""
    on_frames = FilmedPairs(pipeline, eraser, filmed, min(clips, filmed.n)) if filmed is not None and clips > 0 else None
    in_embeddings = ReadPairs(pipeline, eraser, task, material)
    judges = [None if on_frames is None else detector_for(task.model, pin.concept, watch) for pin in task.active]
    costs = [1 if on_frames is None or judge is None else CELLS * on_frames.n for judge in judges]
    found: list[Interaction] = []
    for index, (pin, judge) in enumerate(zip(task.active, judges, strict=True)):

        def on(clip: int, done: int = sum(costs[:index])) -> None:
            tick(done + clip, sum(costs))

        on(0)
        try:
            other = load(pin)
            if on_frames is None or judge is None:
                found.append(in_embeddings.measure(pin, other))
            else:
                found.append(on_frames.measure(pin, other, judge, on))
        except _NOT_MEASURED as error:
            found.append(Interaction(eraser=pin, reason=str(error)))
    tick(sum(costs), sum(costs))
    return found
