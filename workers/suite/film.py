"""One eraser trained and filmed at every strength; what a process of the suite does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

import erasers
from erasers.artefact import CONFIG_FILE
from workers.contract import TrainingTask
from workers.detectors import CELLS, Cell, detector_for
from workers.evaluation import clip_seeds, shares
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.suite.cells import ORIGIN, Measured
from workers.suite.variants import VARIANTS
from workers.training import train_eraser


@dataclass(frozen=True)
class Job:
    concept: str
    variant: str
    done: frozenset[tuple[float, str]]
    """(factor, cell) that need not be filmed again."""


class Studio:
    def __init__(self, model: str, directory: Path, *, clips: int, seed: int, training_seed: int) -> None:
        self._pipeline: VideoPipeline = load_pipeline(WorkerSettings(model=model))
        self._directory, self._clips, self._seed, self._training_seed = directory, clips, seed, training_seed

    def film(self, job: Job) -> list[Measured]:
        return list(self._origin(job) if job.variant == ORIGIN else self._erased(job))

    def _origin(self, job: Job) -> Iterator[Measured]:
        for cell in CELLS:
            if (0.0, cell) not in job.done:
                yield self._measure(job, cell, 0.0, 0.0, Stack())

    def _erased(self, job: Job) -> Iterator[Measured]:
        missing = [(factor, cell) for factor in VARIANTS[job.variant].factors for cell in CELLS if (factor, cell) not in job.done]
        if not missing:
            return
        eraser = self._eraser(job)
        for factor, cell in missing:
            strength = factor * eraser.strength
            yield self._measure(job, cell, factor, strength, Stack((eraser,), (strength,)))

    def _eraser(self, job: Job) -> erasers.Eraser:
        """Trained once, kept in the suite's directory."""
        directory = self._directory / "erasers" / job.variant / job.concept.replace(" ", "_")
        if (directory / CONFIG_FILE).exists():
            return erasers.load(directory)
        variant = VARIANTS[job.variant]
        task = TrainingTask(
            id="suite",
            attempt=1,
            model=self._pipeline.card().id,
            concept=job.concept,
            version=1,
            method=variant.method,
            config=dict(variant.config),
            seed=self._training_seed,
        )
        eraser = train_eraser(self._pipeline, task, on_progress=lambda *_: None, evaluation_clips=0)
        eraser.save(directory)
        return eraser

    def _measure(self, job: Job, cell: Cell, factor: float, strength: float, stack: Stack) -> Measured:
        detector = detector_for(self._pipeline.card().id, job.concept)
        if detector is None:
            raise ValueError(f"no detector sees {job.concept!r} in frames of {self._pipeline.card().id}")
        probes = detector.probes(cell, self._clips, self._seed)
        seen = shares(self._pipeline, stack, detector, probes, clip_seeds(self._seed, self._clips), tick=lambda: None)
        return Measured(job.concept, job.variant, factor, strength, cell, tuple(round(share, 4) for share in seen))


_studio: Studio | None = None
"""Of this process, in a pool of the suite."""


def open_studio(model: str, directory: Path, clips: int, seed: int, training_seed: int) -> None:
    global _studio
    torch.set_num_threads(1)  # one process a core: products of this size gain little from a second thread
    _studio = Studio(model, directory, clips=clips, seed=seed, training_seed=training_seed)


def film(job: Job) -> list[Measured]:
    assert _studio is not None  # noqa: S101 every process of the pool opens one
    return _studio.film(job)
