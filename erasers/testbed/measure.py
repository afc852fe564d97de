"""What is kept of one eraser: where it acts, how it got there, and its marks at every strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from erasers.stack import attach
from erasers.testbed.exam import Exam, block_errors, recoverable
from erasers.testbed.questions import Sizes, questions, validation_questions
from erasers.testbed.readers import Readers, lesson
from erasers.testbed.subjects import Subject

ORIGIN = "origin"
"""The variant that erases nothing."""
POINTS = 10
"""Of a search's trajectory."""
Record = dict[str, Any]
"""JSON."""


class Desk:
    """One subject, ready to be examined."""

    def __init__(
        self, encoder: PromptEncoder, subject: Subject, everything: Sequence[Subject], readers: Readers, sizes: Sizes, seed: int
    ) -> None:
        self._encoder, self._subject = encoder, subject
        self._lesson = lesson(subject, sizes, seed)
        self._questions = questions(subject, everything, sizes, seed)
        self._test = Exam(encoder, self._questions, readers)
        self._validation = Exam(encoder, validation_questions(subject, sizes, seed), readers)

    def origin(self) -> Record:
        return {
            "false_alarms": self._test.false_alarms(self._subject),
            "block_errors": block_errors(self._encoder, self._subject, self._lesson, self._questions),
            "points": [{"factor": 0.0, "strength": 0.0} | self._marks(fresh=True)],
        }

    def examine(self, eraser: Eraser, factors: Sequence[float], fingerprint: str) -> Record:
        points = []
        for factor in factors:
            strength = factor * eraser.strength
            with attach(self._encoder.text_encoder, [eraser], strengths=[strength], fingerprint=fingerprint):
                points.append({"factor": factor, "strength": round(strength, 4)} | self._marks(fresh=factor == 1.0))
        return {
            "layer": eraser.layer,
            "strength": eraser.strength,
            "reached": eraser.config.calibration.get("reached"),
            "mask": dict(eraser.config.mask),
            "search": _search(eraser.config.search),
            "points": points,
        }

    def _marks(self, *, fresh: bool) -> dict[str, Any]:
        answers = self._test.answers()
        marks = {
            "test": {cell: mark._asdict() for cell, mark in self._test.marks(answers).items()},
            "validation": {cell: mark._asdict() for cell, mark in self._validation.marks(self._validation.answers()).items()},
        }
        if not fresh:
            return marks
        return marks | {"recoverable": recoverable(self._encoder, self._subject, self._lesson, self._test, answers)}


def _search(search: Mapping[str, Any]) -> dict[str, Any]:
    """Without most of the trajectory."""
    course = search.get("trajectory", [])
    thin = [course[round(i * (len(course) - 1) / (POINTS - 1))] for i in range(POINTS)] if len(course) > POINTS else course
    names = ("manual", "scan_l_con", "scan_layer", "probe_error", "l0")
    return {name: search[name] for name in names if name in search} | ({"trajectory": thin} if thin else {})
