"""The judge of the miniature: what a frame shows, and how a clip moves. Generation rates are its answers.

A small convolutional network with a head for subjects (objects and characters, any number at once), style, fire and
background per frame, and for motion per clip. A judge that takes a red blob for an apple flatters the model and an eraser
alike, so it is trained (`classifier_training`) against pictures of that sort.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from workers.miniature.vae import to_pixels
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, OBJECTS, STYLES, SUBJECTS
from workers.miniature.weights import CLASSIFIER_FILE
from workers.miniature.world import NUM_FRAMES, SIZE, Frames
from workers.scene import Part, WantedScene

STYLE_NAMES = ("none", *STYLES)
MOTION_STRIDE = 2
MOTION_FRAMES = len(range(0, NUM_FRAMES, MOTION_STRIDE))
"""Motion is read from every second frame, enough to tell a bounce from a standstill."""


class Network(nn.Module):
    def __init__(self, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for out, stride in ((1, 2), (1, 1), (2, 2), (2, 1), (4, 2), (4, 1), (4, 1)):
            out *= width
            kernel = 5 if channels == 3 else 3
            layers += [nn.Conv2d(channels, out, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.features = nn.Sequential(*layers)
        pooled = 2 * channels
        self.subjects = nn.Sequential(nn.Linear(pooled, pooled), nn.ReLU(), nn.Linear(pooled, len(SUBJECTS)))
        self.styles = nn.Linear(pooled, len(STYLE_NAMES))
        self.fire = nn.Linear(pooled, 1)
        self.backgrounds = nn.Linear(pooled, len(BACKGROUNDS))
        self.place = nn.Linear(channels * 16, 32)
        self.motions = nn.Sequential(nn.Linear(32 * MOTION_FRAMES, 128), nn.ReLU(), nn.Linear(128, len(MOTIONS)))

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        """(B, 3, T, H, W) in −1 … 1 → logits: per frame (B, T, n) for subjects, styles, fire, backgrounds; and motions
        (B, n) where T is MOTION_FRAMES."""
        batch, _, frames = pixels.shape[:3]
        features = self.features(pixels.transpose(1, 2).flatten(0, 1))  # (B·T, C, 8, 8)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1).unflatten(0, (batch, frames))
        answers = {name: getattr(self, name)(pooled) for name in ("subjects", "styles", "fire", "backgrounds")}
        if frames == MOTION_FRAMES:
            places = self.place(F.adaptive_avg_pool2d(features, 4).flatten(1)).relu()
            answers["motions"] = self.motions(places.reshape(batch, -1))
        return answers


@dataclass(frozen=True)
class Reading:
    """What the judge saw in one clip of T frames."""

    subjects: np.ndarray  # bool (T, len(SUBJECTS))
    styles: list[str]  # T names of `STYLE_NAMES`
    on_fire: np.ndarray  # bool (T,)
    backgrounds: list[str]
    motion: str | None  # None for clips that are not NUM_FRAMES long

    def shows(self, concept: str) -> np.ndarray:
        """bool (T,): the frames that show a subject, style or attribute."""
        if concept in SUBJECTS:
            return self.subjects[:, list(SUBJECTS).index(concept)]
        if concept in STYLES:
            return np.array([style == concept for style in self.styles])
        if concept == "on fire":
            return self.on_fire
        raise ValueError(f"the classifier has no head for {concept!r}")

    def has(self, part: Part, scene: WantedScene) -> np.ndarray:
        """bool (T,): the frames in which a part of a scene is as asked. A motion is as asked in all of them or in none."""
        frames = len(self.subjects)
        match part:
            case "background":
                return np.array([background == scene.background for background in self.backgrounds])
            case "style":
                return np.array([style == scene.style for style in self.styles])
            case "motion":
                return np.full(frames, self.motion == scene.motion)
            case "objects":
                objects: np.ndarray = np.logical_and.reduce([self.shows(name) for name in scene.objects])
                return objects

    def unrequested(self, named: Collection[str]) -> np.ndarray:
        """bool (T,): the frames that show a subject other than those `named`."""
        others: np.ndarray = np.logical_or.reduce(self.subjects[:, [name not in named for name in SUBJECTS]], axis=1)
        return others


class Classifier:
    def __init__(self, network: Network) -> None:
        self._network = network.eval()

    @torch.no_grad()
    def read(self, frames: Frames) -> Reading:
        """`frames`: uint8 (T, 64, 64, 3). ValueError for another shape."""
        if frames.ndim != 4 or frames.shape[1:] != (SIZE, SIZE, 3):
            raise ValueError(f"the classifier reads frames of {SIZE}×{SIZE} RGB, not an array of shape {frames.shape}")
        pixels = to_pixels(frames)[None]
        answers = self._network(pixels)
        motion = None
        if len(frames) == NUM_FRAMES:
            motion = list(MOTIONS)[int(self._network(pixels[:, :, ::MOTION_STRIDE])["motions"][0].argmax())]
        styles, backgrounds = answers["styles"][0].argmax(-1), answers["backgrounds"][0].argmax(-1)
        return Reading(
            subjects=(answers["subjects"][0] > 0).numpy(),
            styles=[STYLE_NAMES[index] for index in styles],
            on_fire=(answers["fire"][0, :, 0] > 0).numpy(),
            backgrounds=[list(BACKGROUNDS)[index] for index in backgrounds],
            motion=motion,
        )

    def objects(self, frames: Frames) -> dict[str, list[bool]]:
        """For each object of the world, whether each frame shows it."""
        reading = self.read(frames)
        return {name: reading.shows(name).tolist() for name in OBJECTS}


@cache
def load(path: Path = CLASSIFIER_FILE) -> Classifier:
    """Read once: nobody changes it."""
    network = Network()
    network.load_state_dict({name: tensor.float() for name, tensor in load_file(path).items()})
    return Classifier(network)
