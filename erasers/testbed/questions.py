"""The prompts that an eraser is measured on, in cells, and what each of them should be read as."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from erasers.testbed.scenes import scenes, unrelated
from erasers.testbed.subjects import Subject

Cell = Literal["plain", "synonyms", "paraphrases", "others", "keep", "neighbours", "unrelated"]
CONCEPT: tuple[Cell, ...] = ("plain", "synonyms", "paraphrases")
"""What an eraser takes out; it must leave the other cells alone."""


class Question(NamedTuple):
    prompt: str
    reader: str | None
    """The phrase, or the subject's name, whose reader should see it in this prompt; None in unrelated prompts."""


@dataclass(frozen=True)
class Sizes:
    plain: int = 16
    a_phrase: int = 4
    """Prompts for each synonym and each neighbour."""
    other: int = 2
    """Prompts for each of the other subjects."""
    unrelated: int = 24
    learning: int = 10
    """Scenes in which each phrase is shown to the readers that learn it."""


FULL, QUICK = Sizes(), Sizes(plain=4, a_phrase=1, other=1, unrelated=5, learning=4)
Questions = Mapping[Cell, list[Question]]


def questions(subject: Subject, everything: Iterable[Subject], sizes: Sizes, seed: int) -> Questions:
    return {
        "plain": _showing(subject, subject.names[:1], "test", sizes.plain, seed, reader=subject.name),
        "synonyms": _showing(subject, subject.held_out, "test", sizes.a_phrase, seed + 1, reader=subject.name),
        "paraphrases": [Question(prompt, subject.name) for prompt in subject.paraphrases],
        "others": [
            question
            for other in everything
            if other != subject
            for question in _showing(other, other.names[:1], "test", sizes.other, seed, reader=other.name)
        ],
        "keep": _showing(subject, subject.keep, "test", sizes.a_phrase, seed + 2),
        "neighbours": _showing(subject, subject.neighbours, "test", sizes.a_phrase, seed + 3),
        "unrelated": [Question(prompt, None) for prompt in unrelated("test")[: sizes.unrelated]],
    }


def validation_questions(subject: Subject, sizes: Sizes, seed: int) -> Questions:
    """Fewer, in scenes of their own: what a strength is chosen on."""
    return {
        "plain": _showing(subject, subject.names, "validation", sizes.a_phrase, seed, reader=subject.name),
        "keep": _showing(subject, subject.keep, "validation", sizes.a_phrase, seed + 1),
        "unrelated": [Question(prompt, None) for prompt in unrelated("validation")[: sizes.unrelated // 2]],
    }


def _showing(
    subject: Subject,
    phrases: Iterable[str],
    part: Literal["validation", "test"],
    each: int,
    seed: int,
    *,
    reader: str | None = None,
) -> list[Question]:
    """Each phrase in `each` scenes, to be read as itself unless told otherwise."""
    stages = scenes(subject.kind, part, each, seed)
    return [Question(scene.showing(phrase), reader or phrase) for phrase in phrases for scene in stages]
