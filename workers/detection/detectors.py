"""Who can tell from frames whether a concept is in them, and which prompts to ask the model for when measuring."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from erasers.evaluate.spelling import Spelling, respell
from workers.miniature.weights import MINIATURES
from workers.scene import Part, SeenScene, WantedScene

if TYPE_CHECKING:
    from workers.detection.watch import Watch
    from workers.pipelines.base import Frames

RateCell = Literal["plain", "synonym", "others"]
"""plain: the concept by its name. synonym: by names that no training saw. others: everything but the concept."""
MeasuredCell = Literal[RateCell, "scene"]
"""scene: the concept by its name, among other things that the prompt asks for and that must stay."""
Cell = Literal[MeasuredCell, Spelling]
"""misspelt, homoglyph: the plain prompts with the name in another spelling."""
SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)
CELLS: tuple[RateCell, ...] = get_args(RateCell)
"""The cells of which the evaluation counts the concept, or what stands in its place in `others`."""
MEASURED: tuple[MeasuredCell, ...] = (*CELLS, "scene")
"""What every training films, and the gate goes by: all but other spellings."""


@dataclass(frozen=True)
class Probe:
    """A prompt, the concept that its clip should show, and what else the prompt asks for."""

    prompt: str
    shows: str
    scene: WantedScene = field(default_factory=WantedScene)


class Detector(Protocol):
    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]:
        """As many as `n`; none of a cell that there are no prompts for."""

    def rate(self, frames: Frames, concept: str) -> float:
        """Share of frames that show the concept."""

    def scene(self, frames: Frames, probe: Probe) -> SeenScene:
        """How much of the scene of a prompt with the concept the frames show."""


def detector_for(model: str, concept: str, watch: Watch) -> Detector | None:
    """Who the operator says, where there are prompts for it; else the miniature's classifier, for the miniature's concepts.

    None where nobody can tell; embedding-space numbers must do then.
    """
    if watch.probes(concept, "plain"):
        return _WatchedDetector(concept, watch)
    if model not in MINIATURES:
        return None
    from workers.miniature.vocabulary import canonical

    known = canonical(concept)
    return _MiniatureDetector(known) if known is not None else None


class _WatchedDetector:
    """One that the operator chose, with the operator's prompts."""

    def __init__(self, concept: str, watch: Watch) -> None:
        self._concept, self._watch = concept, watch

    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]:
        """In an order that the seed decides; again from the first where there are fewer. Clips differ in their noise."""
        if cell == "misspelt" or cell == "homoglyph":
            return _respelt(self.probes("plain", n, seed), self._concept, cell, seed)
        shuffled = list(self._watch.probes(self._concept, cell))
        random.Random(seed).shuffle(shuffled)  # noqa: S311 must repeat
        return list(itertools.islice(itertools.cycle(shuffled), n))

    def rate(self, frames: Frames, concept: str) -> float:
        return float(self._watch.shown(concept, frames).mean())

    def scene(self, frames: Frames, probe: Probe) -> SeenScene:
        """What is watched is all that it can tell: the objects of a scene, which may be places, too."""
        shown = [self._watch.shown(name, frames) for name in probe.scene.objects]
        return _seen({"objects": np.all(shown, axis=0)} if shown else {}, len(frames))


class _MiniatureDetector:
    """The classifier that was trained on the same renders as the miniature."""

    def __init__(self, concept: str) -> None:
        from workers.miniature import classifier

        self._concept = concept
        self._classifier = classifier.load()

    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]:
        from workers.miniature import grammar

        if cell == "misspelt" or cell == "homoglyph":
            return _respelt(self.probes("plain", n, seed), self._concept, cell, seed)
        prompts = grammar.prompts(self._concept, n, seed, cell)
        if cell == "others":
            return [Probe(each.text, each.scene.subjects[0]) for each in prompts]
        return [Probe(each.text, self._concept, grammar.asked(each, self._concept)) for each in prompts]

    def rate(self, frames: Frames, concept: str) -> float:
        return float(self._classifier.read(frames).shows(concept).mean())

    def scene(self, frames: Frames, probe: Probe) -> SeenScene:
        from workers.miniature.residue import residue

        reading = self._classifier.read(frames)
        alone = probe.scene.style is None and not probe.scene.objects
        seen = _seen({part: reading.has(part, probe.scene) for part in probe.scene.parts}, len(frames))
        return replace(
            seen,
            unrequested=float(reading.unrequested((probe.shows, *probe.scene.objects)).mean()),
            residue=float(residue(frames, reading.backgrounds).mean()) if alone else None,
        )


def _seen(parts: dict[Part, NDArray[np.bool_]], frames: int) -> SeenScene:
    """`parts`: (T,), the frames in which each is as asked."""
    whole = np.all(list(parts.values()), axis=0) if parts else np.ones(frames, bool)
    return SeenScene({part: float(as_asked.mean()) for part, as_asked in parts.items()}, float(whole.mean()))


def _respelt(plain: list[Probe], concept: str, spelling: Spelling, seed: int) -> list[Probe]:
    """The same prompts with the concept's name in another spelling."""
    rng = random.Random(f"{spelling}/{concept}/{seed}")  # noqa: S311 it must repeat
    return [Probe(respell(probe.prompt, concept, spelling, rng), probe.shows) for probe in plain]
