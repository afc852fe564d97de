"""Who reads the embeddings: linear probes, fitted on the encoder as it is, for every subject and for all that is near one.

A subject's reader knows more than the erasers it judges: it has seen the synonyms that training has not, and what must not be
taken for the subject. Paraphrases, and the scenes of the test, it has not seen either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from erasers.encoding import PromptEncoder
from erasers.probe import LinearProbe, fit_probe
from erasers.testbed.questions import Sizes
from erasers.testbed.scenes import scenes
from erasers.testbed.subjects import Subject

Readers = Mapping[str, LinearProbe]
"""By a subject's name, or by the phrase of something near it."""


class Lesson(NamedTuple):
    """Prompts of the train part that one subject's readers learn from."""

    shown: dict[str, list[str]]
    """By phrase: the subject's words, then what is near it."""
    without: list[str]

    def prompts(self) -> list[str]:
        return [*self.of(self.shown), *self.without]

    def of(self, phrases: Iterable[str]) -> list[str]:
        return [prompt for phrase in phrases for prompt in self.shown[phrase]]


def lesson(subject: Subject, sizes: Sizes, seed: int) -> Lesson:
    stages = scenes(subject.kind, "train", sizes.learning, seed + 4)
    phrases = (*subject.words, *subject.near)
    shown = {phrase: [scene.showing(phrase) for scene in stages] for phrase in phrases}
    return Lesson(shown, [scene.without for scene in stages])


def fit_readers(encoder: PromptEncoder, subjects: Sequence[Subject], sizes: Sizes, seed: int) -> Readers:
    lessons = {subject: lesson(subject, sizes, seed) for subject in subjects}
    prompts = list(dict.fromkeys(prompt for one in lessons.values() for prompt in one.prompts()))
    pooled = dict(zip(prompts, encoder.final_states(prompts).pooled(), strict=True))

    def vectors(some: Iterable[str]) -> Tensor:
        return torch.stack([pooled[prompt] for prompt in some])

    readers: dict[str, LinearProbe] = {}
    for subject, own in lessons.items():
        strangers = [prompt for other, its in lessons.items() if other != subject for prompt in its.of(other.names[:1])]
        nothing = [*own.of(subject.near), *own.without, *strangers]
        readers[subject.name] = fit_probe(vectors(own.of(subject.words)), vectors(nothing))
        for phrase in subject.near:
            rest = [*own.of(other for other in own.shown if other != phrase), *own.without]
            readers[phrase] = fit_probe(vectors(own.shown[phrase]), vectors(rest))
    return readers
