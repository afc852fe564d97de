"""One subject's questions, answered by the encoder as it is and with an eraser on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from erasers import cache
from erasers.encoding import FlatStates, PromptEncoder
from erasers.evaluate.drift import drift
from erasers.probe import fit_probe
from erasers.testbed.questions import Cell, Question, Questions
from erasers.testbed.readers import Lesson, Readers
from erasers.testbed.subjects import Subject


class Mark(NamedTuple):
    """Of one cell."""

    n: int
    read: float | None
    """Share of prompts that are read as what they are of."""
    change: float
    """Mean relative change of all token embeddings."""
    cosine: float
    """Mean cosine of the pooled embedding with that of the encoder as it is."""


class Exam:
    def __init__(self, encoder: PromptEncoder, questions: Questions, readers: Readers) -> None:
        self._encoder, self._questions, self._readers = encoder, questions, readers
        self._prompts = [question.prompt for cell in questions.values() for question in cell]
        self._before = encoder.final_states(self._prompts)

    def answers(self) -> FlatStates:
        """With whatever is attached to the encoder now."""
        return self._encoder.final_states(self._prompts)

    def pooled(self, answers: FlatStates) -> dict[Cell, Tensor]:
        """(prompts, d_model) of each cell."""
        parts = answers.pooled().split([len(cell) for cell in self._questions.values()])
        return dict(zip(self._questions, parts, strict=True))

    def marks(self, answers: FlatStates) -> dict[Cell, Mark]:
        before, after = self.pooled(self._before), self.pooled(answers)
        changes = drift(self._before, answers).split([len(cell) for cell in self._questions.values()])
        return {
            cell: Mark(
                n=len(asked),
                read=self._read(asked, after[cell]),
                change=_rounded(change),
                cosine=_rounded(torch.cosine_similarity(before[cell], after[cell])),
            )
            for (cell, asked), change in zip(self._questions.items(), changes, strict=True)
        }

    def false_alarms(self, subject: Subject) -> float:
        """Share of the prompts without the subject in which its reader sees it all the same, before any erasure."""
        pooled = self.pooled(self._before)
        without = torch.cat([pooled[cell] for cell in ("keep", "neighbours", "unrelated")])
        return _rounded(self._readers[subject.name](without) > 0)

    def _read(self, asked: Sequence[Question], pooled: Tensor) -> float | None:
        seen = [
            self._readers[question.reader](vector[None]) > 0
            for question, vector in zip(asked, pooled, strict=True)
            if question.reader is not None
        ]
        return _rounded(torch.cat(seen)) if seen else None


def recoverable(encoder: PromptEncoder, subject: Subject, lesson: Lesson, exam: Exam, answers: FlatStates) -> float:
    """How well a probe that learns from what is attached now still tells the subject from what is near it: 0.5 is chance."""
    vectors = encoder.final_states(lesson.prompts()).pooled()
    shown = len(lesson.of(subject.words))
    pooled = exam.pooled(answers)
    return round(1 - _probe_error(vectors[:shown], vectors[shown:], pooled), 4)


def block_errors(encoder: PromptEncoder, subject: Subject, lesson: Lesson, questions: Questions) -> list[float]:
    """By block, on the encoder as it is: the error of a probe that tells the subject from what is near it, in new scenes."""
    prompts = {cell: [question.prompt for question in asked] for cell, asked in questions.items()}
    taught = lesson.prompts()
    states = cache.build(encoder, [*taught, *(prompt for cell in prompts.values() for prompt in cell)])
    shown, errors = len(lesson.of(subject.words)), []
    for layer in range(states.layers):
        vectors = states.pooled(layer, states.rows(taught))
        pooled = {cell: states.pooled(layer, states.rows(asked)) for cell, asked in prompts.items()}
        errors.append(_probe_error(vectors[:shown], vectors[shown:], pooled))
    return errors


def _probe_error(shown: Tensor, rest: Tensor, pooled: dict[Cell, Tensor]) -> float:
    positive = torch.cat([pooled["plain"], pooled["synonyms"]])
    negative = torch.cat([pooled["keep"], pooled["neighbours"]])
    return fit_probe(shown, rest).error(positive, negative)


def _rounded(values: Tensor) -> float:
    return round(float(values.double().mean()), 4)
