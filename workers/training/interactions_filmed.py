"""Pairs of erasers on clips: both concepts with both erasers, the other concept without any, and other concepts with both.

All else that these are compared with was filmed for the new eraser's own evaluation, and is not filmed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from erasers import Eraser
from workers.contract import EraserPin, Interaction
from workers.detection.detectors import Detector, Probe
from workers.pipelines.base import Stack, VideoPipeline
from workers.scene import SeenScene, scene_numbers
from workers.training.evaluation import Filmed, clip_seeds, film_probes

CELLS = 4
"""Of a pair, each of as many clips."""


class FilmedPairs:
    """Of one new eraser, with whatever others."""

    def __init__(self, pipeline: VideoPipeline, eraser: Eraser, filmed: Filmed, n: int) -> None:
        """n: clips in each cell; at most as many as `filmed` has."""
        self.n = n
        self._pipeline, self._eraser, self._filmed = pipeline, eraser, filmed
        self._seeds = clip_seeds(filmed.seed, filmed.n)
        self._own, self._others = (filmed.detector.probes(cell, filmed.n, filmed.seed) for cell in ("plain", "others"))

    def measure(self, pin: EraserPin, other: Eraser, judge: Detector, on: Callable[[int], None]) -> Interaction:
        """`judge` sees the other's concept. `on` is called with clips done, many times a clip; what it raises ends it."""
        filmed, n, done = self._filmed, self.n, 0

        def film(
            detector: Detector, stack: Stack, probes: Sequence[Probe], seeds: Sequence[int], scenes: list[SeenScene] | None = None
        ) -> float:
            nonlocal done
            seen: list[float] = []
            for probe, frames in film_probes(self._pipeline, stack, probes, seeds, tick=lambda: on(done)):  # noqa: B023
                seen.append(detector.rate(frames, probe.shows))
                if scenes is not None:
                    scenes.append(detector.scene(frames, probe))
                done += 1
            return _mean(seen)

        both = Stack((self._eraser, other), (None, pin.strength))
        theirs = judge.probes("plain", n, filmed.seed)
        before, after = list(filmed.scenes["plain", False][:n]), list[SeenScene]()
        kept = [index for index, probe in enumerate(self._others) if probe.shows != theirs[0].shows][:n]
        kept_origin = _mean([filmed.shares["others", False][index] for index in kept])
        kept_now = film(filmed.detector, both, [self._others[index] for index in kept], [self._seeds[index] for index in kept])
        return Interaction(
            eraser=pin,
            measured="frames",
            n=n,
            origin_rate=_mean(filmed.shares["plain", False][:n]),
            erased_rate=film(filmed.detector, both, self._own[:n], self._seeds[:n], after),
            other_origin_rate=film(judge, Stack(), theirs, self._seeds[:n], before),
            other_erased_rate=film(judge, both, theirs, self._seeds[:n], after),
            kept_rate=round(kept_now / kept_origin, 4) if kept_origin else None,
            scene_kept=scene_numbers(before, after).get("scene_kept"),
        )


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
