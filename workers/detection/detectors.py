"""Who can tell from frames whether a concept is in them, and which prompts to ask the model for when measuring."""

from __future__ import annotations

import itertools
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from erasers.evaluate.spelling import Spelling, respell

if TYPE_CHECKING:
    from workers.detection.watch import Watch
    from workers.pipelines.base import Frames

MeasuredCell = Literal["plain", "synonym", "others"]
"""plain: the concept by its name. synonym: by names that no training saw. others: everything but the concept."""
Cell = Literal[MeasuredCell, Spelling]
"""misspelt, homoglyph: the plain prompts with the name in another spelling."""
SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)
CELLS: tuple[MeasuredCell, ...] = get_args(MeasuredCell)
"""What every training measures, and the gate goes by: all but other spellings."""


@dataclass(frozen=True)
class Probe:
    """A prompt, and the concept that its clip should show."""

    prompt: str
    shows: str


class Detector(Protocol):
    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]: ...

    def rate(self, frames: Frames, concept: str) -> float:
        """Share of frames that show the concept."""


def detector_for(model: str, concept: str, watch: Watch) -> Detector | None:
    """Who the operator says, where there are prompts for it; else the miniature's classifier, for the miniature's concepts.

    None where nobody can tell; embedding-space numbers must do then.
    """
    if watch.probes(concept, "plain"):
        return _WatchedDetector(concept, watch)
    if model != "miniature":
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
        return [Probe(each.text, each.scene.subjects[0] if cell == "others" else self._concept) for each in prompts]

    def rate(self, frames: Frames, concept: str) -> float:
        return float(self._classifier.read(frames).shows(concept).mean())


def _respelt(plain: list[Probe], concept: str, spelling: Spelling, seed: int) -> list[Probe]:
    """The same prompts with the concept's name in another spelling."""
    rng = random.Random(f"{spelling}/{concept}/{seed}")  # noqa: S311 it must repeat
    return [Probe(respell(probe.prompt, concept, spelling, rng), probe.shows) for probe in plain]
