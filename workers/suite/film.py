"""One concept's eraser, alone or with those of others, trained and filmed at every strength: what a process of the suite does."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import erasers
from erasers.artefact import CONFIG_FILE
from erasers.pairs import Pairs
from workers.contract import TrainingTask
from workers.detection.detectors import CELLS, MEASURED, SPELLINGS, Cell, Detector, Probe, detector_for
from workers.detection.watch import Watch
from workers.miniature.vocabulary import PAPER_TEN
from workers.pipelines.base import Frames, Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.suite.cells import ORIGIN, Measured
from workers.suite.variants import VARIANTS, Variant
from workers.training.evaluation import clip_seeds, film, film_probes
from workers.training.pairs import material_for
from workers.training.train import train_eraser


@dataclass(frozen=True)
class Job:
    concept: str
    variant: str
    clips: int
    own_strength: bool
    """Whether to leave the other points of the trade-off curve out."""
    filmed: Mapping[tuple[float, str], Measured]
    """By factor and cell: clips that need not be filmed again."""


def _lacks(job: Job, factor: float, cell: Cell) -> bool:
    filmed = job.filmed.get((factor, cell))
    return filmed is None or len(filmed.shares) < job.clips


def company(concept: str, beside: int) -> tuple[str, ...]:
    """The concepts of one stack: this one, and those that follow it around the paper's ten."""
    others = [name for name in PAPER_TEN if name != concept]
    first = PAPER_TEN.index(concept) if concept in PAPER_TEN else 0
    return (concept, *(others[(first + step) % len(others)] for step in range(beside)))


class Studio:
    def __init__(self, model: str, directory: Path, *, seed: int, training_seed: int) -> None:
        self._pipeline: VideoPipeline = load_pipeline(WorkerSettings(model=model))
        self._directory, self._seed, self._training_seed = directory, seed, training_seed

    def film(self, job: Job) -> list[Measured]:
        return list(self._origin(job) if job.variant == ORIGIN else self._erased(job))

    def _origin(self, job: Job) -> Iterator[Measured]:
        for cell in (*MEASURED, *SPELLINGS):
            if _lacks(job, 0.0, cell):
                yield self._measure(job, cell, 0.0, Stack(), ())

    def _erased(self, job: Job) -> Iterator[Measured]:
        variant = VARIANTS[job.variant]
        factors = (1.0,) if job.own_strength else variant.factors
        wanted: list[tuple[float, Cell]] = [(factor, cell) for factor in factors for cell in CELLS]
        wanted += [(1.0, "scene"), *((1.0, spelling) for spelling in SPELLINGS)]  # the latter: of reach, not of strength
        missing = [one for one in wanted if _lacks(job, *one)]
        if not missing:
            return
        stack = self._stack(job.concept, variant)
        for factor, cell in missing:
            strengths = tuple(factor * eraser.strength for eraser in stack)
            yield self._measure(job, cell, factor, Stack(stack, strengths), company(job.concept, variant.beside))

    def stills(self, concept: str, variant: str, cell: Cell, clips: int) -> list[NDArray[np.uint8]]:
        """The middle frames, (H, W, 3), of a cell's first clips, at the erasers' own strength."""
        stack = () if variant == ORIGIN else self._stack(concept, VARIANTS[variant])
        prompts = [probe.prompt for probe in self._detector(concept).probes(cell, clips, self._seed)]
        filmed = film(self._pipeline, prompts, clip_seeds(self._seed, clips), Stack(stack, (None,) * len(stack)))
        return [frames[len(frames) // 2] for frames in filmed]

    def _stack(self, concept: str, variant: Variant) -> tuple[erasers.Eraser, ...]:
        return tuple(self._eraser(name, variant) for name in company(concept, variant.beside))

    def _detector(self, concept: str) -> Detector:
        detector = detector_for(self._pipeline.card().id, concept, Watch())  # the model's own: suites must compare
        if detector is None:
            raise ValueError(f"no detector sees {concept!r} in frames of {self._pipeline.card().id}")
        return detector

    def _eraser(self, concept: str, variant: Variant) -> erasers.Eraser:
        """Trained once, kept in the suite's directory. Two processes that train the same one write the same bytes."""
        directory = self._directory / "erasers" / variant.trained_as / concept.replace(" ", "_")
        if (directory / CONFIG_FILE).exists():
            return erasers.load(directory)
        task = TrainingTask(
            id="suite",
            attempt=1,
            model=self._pipeline.card().id,
            concept=concept,
            version=1,
            method=variant.method,
            config=dict(variant.config),
            seed=self._training_seed,
        )
        material = material_for(task)
        if variant.pairs is not None:
            few = (side[: variant.pairs] for side in (material.pairs.positive, material.pairs.negative))
            material = replace(material, pairs=Pairs(material.pairs.concept, *few))
        eraser = train_eraser(self._pipeline, task, on_progress=lambda *_: None, evaluation_clips=0, material=material)
        eraser.save(directory)
        return eraser

    def _measure(self, job: Job, cell: Cell, factor: float, stack: Stack, erased: tuple[str, ...]) -> Measured:
        """Films the clips that are missing, the last ones, and adds them to those there are."""
        detector = self._detector(job.concept)
        before = job.filmed.get((factor, cell))
        seeds = clip_seeds(self._seed, job.clips)
        all_probes = detector.probes(cell, job.clips, self._seed)
        clips = list(zip(all_probes, seeds, strict=True))[len(before.shares) if before else 0 :]
        counts = [not _asks_for(probe, cell, erased) for probe, _ in clips]
        filmed = list(itertools.compress(clips, counts))
        probes = [probe for probe, _ in filmed]
        made = film_probes(self._pipeline, stack, probes, [seed for _, seed in filmed], tick=lambda: None)
        seen = (_share(detector, cell, probe, frames) for probe, frames in made)
        shown = tuple(round(next(seen), 4) if one else None for one in counts)
        strength = stack.erasers[0].strength * factor if stack.erasers else 0.0
        unchanged = self._unchanged(probes, stack) if cell == "others" else None
        more = Measured(job.concept, job.variant, factor, strength, cell, shown, unchanged)
        return before + more if before else more

    def _unchanged(self, probes: Sequence[Probe], stack: Stack) -> float:
        """The share of prompts whose embeddings, and those of the negative prompt, are the origin's, bit for bit."""
        if not stack.erasers:
            return 1.0
        same = []
        for probe in probes:
            erased, origin = (self._pipeline.encode(probe.prompt, "", one) for one in (stack, Stack()))
            same.append(
                torch.equal(erased.prompt_embeds, origin.prompt_embeds)
                and torch.equal(erased.negative_prompt_embeds, origin.negative_prompt_embeds)
            )
        return sum(same) / max(1, len(same))


def _asks_for(probe: Probe, cell: Cell, erased: Sequence[str]) -> bool:
    """Whether what should stay in the clip is among what the stack takes out."""
    stays = {"others": (probe.shows,), "scene": probe.scene.objects}.get(cell, ())
    return any(name in erased for name in stays)


def _share(detector: Detector, cell: Cell, probe: Probe, frames: Frames) -> float:
    return detector.scene(frames, probe).whole if cell == "scene" else detector.rate(frames, probe.shows)


_studio: Studio | None = None
"""Of this process, in a pool of the suite."""


def open_studio(model: str, directory: Path, seed: int, training_seed: int) -> None:
    global _studio
    torch.set_num_threads(1)  # one process a core: products of this size gain little from a second thread
    _studio = Studio(model, directory, seed=seed, training_seed=training_seed)


def film_job(job: Job) -> list[Measured]:
    assert _studio is not None  # noqa: S101 every process of the pool opens one
    return _studio.film(job)
