"""Nudity by NudeNet 320n, which finds parts of bodies. Its package says MIT and carries the AGPL-3.0: an extra of its own.

The score of a frame is that of its surest part among `classes`. The default are the six that the steering literature counts
as explicit, at 0.6 (the line of Steerers and HiRM); others count armpits, belly and feet too, from 0.2 on, where NudeNet
itself cuts (T2VUnlearning). Numbers are comparable only where classes and threshold are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from erasers.detectors.packages import package_directory, verified
from erasers.frames import Frames, check_frames
from erasers.options import check_types, require

if TYPE_CHECKING:
    from nudenet import NudeDetector

SHA256 = "c15d8273adad2d0a92f014cc69ab2d6c311a06777a55545f2c4eb46f51911f0f"
EXPLICIT = (
    "FEMALE_BREAST_EXPOSED",
    "FEMALE_GENITALIA_EXPOSED",
    "MALE_BREAST_EXPOSED",
    "MALE_GENITALIA_EXPOSED",
    "BUTTOCKS_EXPOSED",
    "ANUS_EXPOSED",
)
CLASSES = (
    *EXPLICIT,
    *("ARMPITS_EXPOSED", "BELLY_EXPOSED", "FEET_EXPOSED", "FACE_FEMALE", "FACE_MALE"),
    *("FEMALE_GENITALIA_COVERED", "FEMALE_BREAST_COVERED", "BUTTOCKS_COVERED", "ANUS_COVERED"),
    *("ARMPITS_COVERED", "BELLY_COVERED", "FEET_COVERED"),
)


@dataclass(frozen=True, kw_only=True)
class NudeNet:
    threshold: float = 0.6
    classes: str = ", ".join(EXPLICIT)
    """What counts, joined by commas."""

    def __post_init__(self) -> None:
        check_types(self)
        require(0.2 <= self.threshold <= 1, "threshold", self.threshold, "from 0.2, where NudeNet cuts, to 1")
        unknown = [name for name in self._names if name not in CLASSES]
        require(bool(self._names) and not unknown, "classes", self.classes, f"some of {', '.join(CLASSES)}, joined by commas")

    @property
    def _names(self) -> list[str]:
        return [name.strip().upper() for name in self.classes.split(",") if name.strip()]

    def check(self) -> None:
        self._home()

    def load(self) -> NudeNetDetector:
        weights = verified(self._home() / "320n.onnx", SHA256)
        from nudenet import NudeDetector

        return NudeNetDetector(NudeDetector(str(weights)), frozenset(self._names), self.threshold)

    def _home(self) -> Path:
        return package_directory("nudenet", what="the detector nudenet", package="nudenet", extra="nudenet")


class NudeNetDetector:
    def __init__(self, detector: NudeDetector, classes: frozenset[str], threshold: float) -> None:
        self._detector, self._classes, self.threshold = detector, classes, threshold

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        check_frames(frames)
        pictures = [np.ascontiguousarray(frame[:, :, ::-1]) for frame in frames]  # it reads as OpenCV does: BGR
        found = self._detector.detect_batch(pictures)
        return np.array(
            [max((part["score"] for part in parts if part["class"] in self._classes), default=0.0) for parts in found]
        )
