"""Who can tell from frames whether a concept is in them, and which prompts to ask the model for when measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from workers.pipelines.base import Frames

Cell = Literal["plain", "synonym", "others"]
"""plain: the concept by its name. synonym: by names that no training saw. others: everything but the concept."""
CELLS: tuple[Cell, ...] = get_args(Cell)


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

        prompts = grammar.prompts(self._concept, n, seed, cell)
        return [Probe(each.text, each.scene.subjects[0] if cell == "others" else self._concept) for each in prompts]

    def rate(self, frames: Frames, concept: str) -> float:
        return float(self._classifier.read(frames).shows(concept).mean())
