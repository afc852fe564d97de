"""Where pairs come from: templates, a language model, a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from erasers.concepts import Concept
from erasers.errors import PairsError
from erasers.pairs.prompts import Pairs
from erasers.pairs.templates import templates


class PairSource(Protocol):
    def pairs(self, concept: Concept, n: int, seed: int) -> Pairs:
        """`n` pairs for the concept. Raises PairsError or PairSourceError where there are not so many."""


class Templates:
    """English scenes from `templates`: offline, and the same for a seed."""

    def pairs(self, concept: Concept, n: int, seed: int) -> Pairs:
        return templates(concept, n, seed)


@dataclass(frozen=True)
class JsonLines:
    """The first `n` pairs of a file as `Pairs.from_jsonl` reads it; the seed plays no part."""

    path: Path

    def pairs(self, concept: Concept, n: int, seed: int) -> Pairs:
        held = Pairs.from_jsonl(self.path, concept)
        if len(held) < n:
            raise PairsError(f"{self.path} holds {len(held)} pairs, not {n}; ask for fewer")
        return Pairs(concept, held.positive[:n], held.negative[:n])
