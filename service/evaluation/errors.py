"""Why an evaluation cannot be made.

EvaluationError
├── PromptFileError   lines of the prompt file that cannot be used, by number
├── ModelNotServed    no worker has loaded the model
├── NotErasable       a concept has no eraser that could be evaluated
├── ClipsFailed       the service did not make some of the clips
├── DetectionFailed   the detector refused (an object it does not know, say) or broke
└── QualityFailed     the metrics refused (weights that are not there, say) or broke
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

_SHOWN = 5


class EvaluationError(Exception):
    """Base; the message is for the person at the terminal."""


class PromptFileError(EvaluationError):
    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        super().__init__(
            f"{path}: {_first(problems)}\nEach line is one JSON object: "
            '{"prompt": "a parachute over snowy mountains", "objects": ["parachute"], "scene": {"background": "snow"}}'
        )


class ModelNotServed(EvaluationError):
    def __init__(self, model: str, served: str) -> None:
        super().__init__(f"no worker has loaded the model {model}; served now: {served}")


class NotErasable(EvaluationError):
    def __init__(self, concept: str, why: str) -> None:
        super().__init__(f"cannot evaluate the eraser of {concept!r}: {why}")


class ClipsFailed(EvaluationError):
    def __init__(self, reasons: Mapping[str, str], total: int) -> None:
        reports = [f"{clip}: {reason}" for clip, reason in reasons.items()]
        super().__init__(
            f"{len(reasons)} of {total} clips failed; the others are kept, and a second run makes only what is missing.\n"
            + _first(reports)
        )


class DetectionFailed(EvaluationError):
    def __init__(self, output: str) -> None:
        super().__init__(f"the detector failed: {output}")


class QualityFailed(EvaluationError):
    def __init__(self, output: str) -> None:
        super().__init__(f"the metrics failed: {output}")


def _first(problems: Sequence[str]) -> str:
    more = [f"… and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "\n".join([*problems[:_SHOWN], *more])
