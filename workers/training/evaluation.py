"""How well an eraser erases, measured on clips: origin and erased on the same prompts and seeds, by the pipeline that serves.

Rates are shares of frames in which the detector sees what the prompt asks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

from erasers import Eraser
from workers.detection.detectors import CELLS, Cell, Detector, Probe
from workers.pipelines.base import Frames, Shape, Stack, VideoPipeline

BATCH = 4
"""Clips denoised together."""

Tick = Callable[[int, int], None]
"""Called with clips done and clips in all, many times a clip; what it raises ends the evaluation."""


class FrameNumbers(TypedDict):
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
    """clips in each of the six cells"""
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

    def numbers(self) -> FrameNumbers:
        rates = {cell: round(sum(seen) / self.n, 4) for cell, seen in self.shares.items()}
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
        )


def film_cells(
    pipeline: VideoPipeline, eraser: Eraser, detector: Detector, *, n: int, seed: int, tick: Tick = lambda done, total: None
) -> Filmed:
    """Every cell without the eraser and with it, on the same prompts and seeds."""
    seeds = clip_seeds(seed, n)
    total, done = 6 * n, 0
    seen: dict[tuple[Cell, bool], list[float]] = {}
    for cell in CELLS:
        probes = detector.probes(cell, n, seed)
        for erased in (False, True):
            stack = Stack((eraser,), (None,)) if erased else Stack()
            seen[cell, erased] = []
            for share in shares(pipeline, stack, detector, probes, seeds, tick=lambda: tick(done, total)):  # noqa: B023
                seen[cell, erased].append(share)
                done += 1
    tick(done, total)
    return Filmed(detector, n, seed, seen)


def clip_seeds(seed: int, n: int) -> list[int]:
    """Of the noise of a cell's clips, in order; the same in every cell."""
    return [seed * 1000 + index for index in range(n)]


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


def shares(
    pipeline: VideoPipeline,
    stack: Stack,
    detector: Detector,
    probes: Sequence[Probe],
    seeds: Sequence[int],
    *,
    tick: Callable[[], None],
) -> Iterator[float]:
    """One share of frames per probe."""
    clips = film(pipeline, [probe.prompt for probe in probes], seeds, stack, tick=tick)
    for probe, frames in zip(probes, clips, strict=True):
        yield detector.rate(frames, probe.shows)
