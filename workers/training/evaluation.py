"""How well an eraser erases, measured on clips: origin and erased on the same prompts and seeds, by the pipeline that serves.

Rates are shares of frames in which the detector sees what the prompt asks for. What erasing does to the rest of the same
prompt is measured on every clip of a prompt with the concept; `scene_numbers` says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from erasers import Eraser
from workers.contract import MAX_SEED
from workers.detection.detectors import CELLS, MEASURED, Cell, Detector, Probe
from workers.pipelines.base import Frames, Shape, Stack, VideoPipeline
from workers.scene import SceneNumbers, SeenScene, scene_numbers

BATCH = 4
"""Clips denoised together."""

Tick = Callable[[int, int], None]
"""Called with clips done and clips in all, many times a clip; what it raises ends the evaluation."""


class FrameNumbers(SceneNumbers):
    origin_rate: float
    """plain prompts, no eraser"""
    erased_rate: float
    """plain prompts, eraser on"""
    synonym_origin_rate: float
    synonym_rate: float
    others_origin_rate: float
    others_rate: float
    """other concepts, eraser on"""
    kept_rate: float
    """others_rate relative to others_origin_rate"""
    n: int
    """clips in each of the eight cells"""
    seeds: list[int]
    """of the clips of a cell, in order"""


@dataclass(frozen=True)
class Filmed:
    """The clips of an evaluation, as the detector saw them."""

    detector: Detector
    n: int
    seed: int
    shares: Mapping[tuple[Cell, bool], Sequence[float]]
    """Of each cell, without and with the eraser, clip by clip."""
    scenes: Mapping[tuple[Cell, bool], Sequence[SeenScene]] = field(default_factory=dict)
    """The same, of the cells with the concept."""

    def numbers(self) -> FrameNumbers:
        rates = {(cell, on): round(sum(self.shares[cell, on]) / self.n, 4) for cell in CELLS for on in (False, True)}
        others = rates["others", False]
        return FrameNumbers(
            origin_rate=rates["plain", False],
            erased_rate=rates["plain", True],
            synonym_origin_rate=rates["synonym", False],
            synonym_rate=rates["synonym", True],
            others_origin_rate=others,
            others_rate=rates["others", True],
            kept_rate=round(rates["others", True] / others, 4) if others else 0.0,
            n=self.n,
            seeds=clip_seeds(self.seed, self.n),
            **scene_numbers(self._scenes(erased=False), self._scenes(erased=True)),
        )

    def _scenes(self, *, erased: bool) -> list[SeenScene]:
        return [scene for (_, on), seen in self.scenes.items() if on is erased for scene in seen]


def film_cells(
    pipeline: VideoPipeline, eraser: Eraser, detector: Detector, *, n: int, seed: int, tick: Tick = lambda done, total: None
) -> Filmed:
    """Every cell without the eraser and with it, on the same prompts and seeds."""
    seeds = clip_seeds(seed, n)
    cells = {cell: detector.probes(cell, n, seed) for cell in MEASURED}
    total, done = 2 * sum(map(len, cells.values())), 0
    seen: dict[tuple[Cell, bool], list[float]] = {}
    scenes: dict[tuple[Cell, bool], list[SeenScene]] = {}
    for cell, probes in cells.items():
        for erased in (False, True):
            stack = Stack((eraser,), (None,)) if erased else Stack()
            seen[cell, erased], scenes[cell, erased] = [], []
            for probe, frames in film_probes(pipeline, stack, probes, seeds, tick=lambda: tick(done, total)):  # noqa: B023
                seen[cell, erased].append(detector.rate(frames, probe.shows))
                if cell != "others":
                    scenes[cell, erased].append(detector.scene(frames, probe))
                done += 1
    tick(done, total)
    return Filmed(detector, n, seed, seen, scenes)


def clip_seeds(seed: int, n: int) -> list[int]:
    """Of the noise of a cell's clips, in order; the same in every cell."""
    return [(seed * 1000 + index) % (MAX_SEED + 1) for index in range(n)]


def film(
    pipeline: VideoPipeline,
    prompts: Sequence[str],
    seeds: Sequence[int],
    stack: Stack = Stack(),  # noqa: B008 frozen
    *,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[Frames]:
    """One clip per prompt and seed, made as the model's card says it is usually sampled. `tick` is called at every step."""
    card = pipeline.card()
    shape = Shape(
        width=card.default_width,
        height=card.default_height,
        num_frames=card.default_num_frames,
        num_inference_steps=card.default_num_inference_steps,
        guidance_scale=card.default_guidance_scale,
    )
    clips = list(zip(prompts, seeds, strict=True))
    for group in (clips[start : start + BATCH] for start in range(0, len(clips), BATCH)):
        rows = [pipeline.encode(prompt, "", stack) for prompt, _ in group]
        latents = pipeline.denoise(rows, [seed for _, seed in group], shape, lambda step, steps: tick())
        for index in range(len(group)):
            yield pipeline.decode(latents[index : index + 1])


def film_probes(
    pipeline: VideoPipeline, stack: Stack, probes: Sequence[Probe], seeds: Sequence[int], *, tick: Callable[[], None]
) -> Iterator[tuple[Probe, Frames]]:
    """Each probe with the frames of its clip. `seeds`: as many as there are probes, or more."""
    clips = film(pipeline, [probe.prompt for probe in probes], seeds[: len(probes)], stack, tick=tick)
    yield from zip(probes, clips, strict=True)
