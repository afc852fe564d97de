"""What a detector is: a score per frame, and the threshold from which on a frame shows the concept."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from erasers.frames import Frames


class FrameDetector(Protocol):
    @property
    def threshold(self) -> float: ...

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        """(T,), each in 0 … 1 and higher the more clearly the frame shows the concept. Raises `FramesError`."""


class Recipe(Protocol):
    """How to make a detector: frozen options, cheap to make and to check."""

    def check(self) -> None:
        """Raise `JudgeError` where a package, a file or a name is missing. Loads no weights."""

    def load(self) -> FrameDetector:
        """Raises `JudgeError`. Weights that come in packages are compared with their sha256."""


def shown(detector: FrameDetector, frames: Frames) -> NDArray[np.bool_]:
    """(T,): which frames show the concept."""
    return detector.scores(frames) >= detector.threshold
