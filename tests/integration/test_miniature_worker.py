"""The worker's path with the real miniature and an eraser that ships with it: the concept goes, another one stays."""

from __future__ import annotations

import pytest

import erasers
from workers.detection.detectors import Detector, detector_for
from workers.detection.watch import Watch
from workers.miniature.weights import eraser_directory
from workers.pipelines.base import Shape, Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings

CONCEPT = "parachute"
CLIPS = 6


@pytest.fixture(scope="module")
def miniature() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature", device="cpu"))


@pytest.fixture(scope="module")
def detector() -> Detector:
    found = detector_for("miniature", CONCEPT, Watch())
    assert found is not None
    return found


def rate(pipeline: VideoPipeline, detector: Detector, stack: Stack, prompt: str, concept: str) -> float:
    card = pipeline.card()
    shape = Shape(
        width=card.default_width,
        height=card.default_height,
        num_frames=card.default_num_frames,
        num_inference_steps=card.default_num_inference_steps,
        guidance_scale=card.default_guidance_scale,
    )
    rows = [pipeline.encode(prompt, "", stack)] * CLIPS
    latents = pipeline.denoise(rows, range(CLIPS), shape, lambda step, total: None)
    return sum(detector.rate(pipeline.decode(latents[i : i + 1]), concept) for i in range(CLIPS)) / CLIPS


def test_the_concept_goes_and_another_stays(miniature: VideoPipeline, detector: Detector) -> None:
    eraser = erasers.load(eraser_directory(CONCEPT))
    assert eraser.config.encoder.fingerprint == miniature.fingerprint
    none, stack = Stack(), Stack((eraser,), (None,))
    assert rate(miniature, detector, none, "a parachute over the sea", CONCEPT) >= 0.3
    assert rate(miniature, detector, stack, "a parachute over the sea", CONCEPT) <= 0.1
    before = rate(miniature, detector, none, "a garbage truck standing still over the sea", "garbage truck")
    assert before >= 0.3
    assert rate(miniature, detector, stack, "a garbage truck standing still over the sea", "garbage truck") >= 0.8 * before
