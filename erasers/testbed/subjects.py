"""What the testbed erases, and what must stay when it does: `subjects.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Literal

from erasers.concepts import Concept

Kind = Literal["object", "identity", "style", "attribute"]
_ARTICLE = re.compile(r"^(a|an|the) ")


@dataclass(frozen=True)
class Subject:
    """One concept in all its words; phrases carry their articles."""

    kind: Kind
    names: tuple[str, ...]
    """What training may see; the first is the concept."""
    held_out: tuple[str, ...]
    """Synonyms that training never sees."""
    keep: tuple[str, ...]
    """What must stay, and what training may be told of."""
    neighbours: tuple[str, ...]
    """What must stay, and what training never sees."""
    paraphrases: tuple[str, ...]
    """Whole prompts that describe the concept in none of these words."""
    broader: str

    def __post_init__(self) -> None:
        for entry in fields(self):
            if isinstance(value := getattr(self, entry.name), list):
                object.__setattr__(self, entry.name, tuple(value))

    @property
    def name(self) -> str:
        return bare(self.names[0])

    @property
    def words(self) -> tuple[str, ...]:
        """Every phrase that means the concept."""
        return self.names + self.held_out

    @property
    def near(self) -> tuple[str, ...]:
        """Every phrase that must stay."""
        return self.keep + self.neighbours

    def concept(self, *, synonyms: bool = True) -> Concept:
        """As training is told of it."""
        names = [bare(phrase) for phrase in self.names]
        return Concept(names[0], tuple(names[1:]) if synonyms else (), tuple(map(bare, self.keep)))


@cache
def subjects() -> dict[str, Subject]:
    """By name."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))["subject"]
    return {subject.name: subject for subject in (Subject(**row) for row in rows)}


def bare(phrase: str) -> str:
    return _ARTICLE.sub("", phrase)
