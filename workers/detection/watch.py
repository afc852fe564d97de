"""Which detector watches which concept, as `CLEARWAY_DETECTORS` says, and what to ask the model for when measuring with them.

Made and checked when a process starts, so that a package that is missing, or a picture without a face, shows then and not
after hours of training. Weights are loaded by `load`, or when a detector first looks at frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from erasers.detectors import FrameDetector, Recipe, kind_of, parse, shown
from erasers.errors import ConfigError, JudgeError
from workers.detection.probe_file import Probes, read_probes
from workers.errors import DetectorUnavailable
from workers.settings import WorkerSettings, concept_key

if TYPE_CHECKING:
    from workers.detection.detectors import Cell, Probe
    from workers.pipelines.base import Frames


class Watch:
    def __init__(self, recipes: Mapping[str, Recipe] | None = None, probes: Probes | None = None) -> None:
        """Raises `DetectorUnavailable` where a detector cannot be had."""
        self._recipes = dict(recipes or {})
        self._probes = probes or {}
        self._loaded: dict[str, FrameDetector] = {}
        for concept, recipe in self._recipes.items():
            with _naming(concept):
                recipe.check()

    @classmethod
    def of(cls, settings: WorkerSettings, *, with_probes: bool = True) -> Watch:
        """Without probes it looks, and measures nothing."""
        recipes = {concept: parse(options) for concept, options in settings.detectors.items()}
        file = settings.detector_prompts if with_probes else None
        return cls(recipes, read_probes(file, watched=recipes.keys()) if file is not None else None)

    @property
    def concepts(self) -> list[str]:
        return list(self._recipes)

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of detector that watches each."""
        return {concept: kind_of(recipe) for concept, recipe in self._recipes.items()}

    def named(self, concept: str) -> str | None:
        """The concept as the setting calls it; None where no detector watches it."""
        key = concept_key(concept)
        return key if key in self._recipes else None

    def load(self) -> None:
        """Every detector, now."""
        for concept in self._recipes:
            self._detector(concept)

    def shown(self, concept: str, frames: Frames) -> NDArray[np.bool_]:
        """(T,): which frames show a concept that is watched."""
        return shown(self._detector(concept_key(concept)), frames)

    def probes(self, concept: str, cell: Cell) -> tuple[Probe, ...]:
        """What the prompt file has for it; nothing where there is no file."""
        return self._probes.get((concept_key(concept), cell), ())

    def _detector(self, concept: str) -> FrameDetector:
        if concept not in self._loaded:
            with _naming(concept):
                self._loaded[concept] = self._recipes[concept].load()
        return self._loaded[concept]


@contextmanager
def _naming(concept: str) -> Iterator[None]:
    """The library's errors become ours, which say whose detector it is."""
    try:
        yield
    except (JudgeError, ConfigError) as error:
        raise DetectorUnavailable(f"CLEARWAY_DETECTORS, {concept!r}: {error}") from error
