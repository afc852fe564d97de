"""Who can tell from frames whether a concept is in them, and which prompts to ask the model for when measuring."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from erasers.evaluate.spelling import Spelling, respell
from workers.pipelines.base import Frames

Cell = Literal["plain", "synonym", "others", Spelling]
"""plain: the concept by its name. synonym: by names that no training saw. others: everything but the concept. misspelt,
homoglyph: the plain prompts with the name in another spelling."""
SPELLINGS: tuple[Spelling, ...] = get_args(Spelling)
CELLS: tuple[Cell, ...] = ("plain", "synonym", "others")
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


def detector_for(model: str, concept: str) -> Detector | None:
    """None where nobody can tell; embedding-space numbers must do then."""
    if model != "miniature":
        return None
    from workers.miniature.vocabulary import canonical

    known = canonical(concept)
    return _MiniatureDetector(known) if known is not None else None


class _MiniatureDetector:
    """The classifier that was trained on the same renders as the miniature."""

    def __init__(self, concept: str) -> None:
        from workers.miniature import classifier

        self._concept = concept
        self._classifier = classifier.load()

    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]:
        from workers.miniature import grammar

        if cell == "misspelt" or cell == "homoglyph":
            rng = random.Random(f"{cell}/{self._concept}/{seed}")  # noqa: S311 - it must repeat
            plain = self.probes("plain", n, seed)
            return [Probe(respell(probe.prompt, self._concept, cell, rng), probe.shows) for probe in plain]
        prompts = grammar.prompts(self._concept, n, seed, cell)
        return [Probe(each.text, each.scene.subjects[0] if cell == "others" else self._concept) for each in prompts]

    def rate(self, frames: Frames, concept: str) -> float:
        return float(self._classifier.read(frames).shows(concept).mean())
