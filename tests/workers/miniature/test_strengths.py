"""An eraser is not undone by the others that one request may add."""

from __future__ import annotations

import pytest

import erasers
from workers.contract import EraserPin
from workers.errors import ConceptNotReduced
from workers.generation.receipts import eraser_uses
from workers.miniature import classifier
from workers.miniature.weights import eraser_directory
from workers.pipelines.base import Shape, Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings

CHUTES = " ".join(["chute"] * 40)
OTHERS = ("french horn", "golf ball", "gas pump")
MOST = 2.0
"""The most that a request may ask for, as a multiple of an eraser's own strength: `service.acceptance.stack`."""


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature"), encoder_in_float32=True)


def shown(pipeline: VideoPipeline, stack: Stack, seed: int) -> float:
    """The share of frames with a parachute."""
    card = pipeline.card()
    shape = Shape(
        width=card.default_width,
        height=card.default_height,
        num_frames=card.default_num_frames,
        num_inference_steps=card.default_num_inference_steps,
        guidance_scale=card.default_guidance_scale,
    )
    conditioning = pipeline.encode(CHUTES, "", stack)
    frames = pipeline.decode(pipeline.denoise([conditioning], [seed], shape, lambda step, total: None))
    return float(classifier.load().read(frames).shows("parachute").mean())


def test_other_erasers_at_the_most_that_a_request_may_ask_do_not_bring_a_concept_back(pipeline: VideoPipeline) -> None:
    """At strength 100, which was accepted once, these three bring the parachute into 32 % of the frames of eight seeds."""
    parachute = erasers.load(eraser_directory("parachute"))
    others = [erasers.load(eraser_directory(concept)) for concept in OTHERS]
    stack = Stack((parachute, *others), (None, *(MOST * other.strength for other in others)))
    assert max(shown(pipeline, Stack(), seed) for seed in (0, 1)) > 0.5, "the prompt shows one without erasers"
    assert [shown(pipeline, stack, seed) for seed in (0, 1, 2)] == [0, 0, 0]
    outcomes = {outcome.concept: outcome for outcome in pipeline.encode(CHUTES, "", stack).outcomes}
    assert outcomes["parachute"].verdict == "removed"


def test_a_mandatory_concept_that_is_not_reduced_fails_and_an_absent_one_does_not(pipeline: VideoPipeline) -> None:
    parachute = erasers.load(eraser_directory("parachute"))
    pins = [EraserPin(concept="parachute", version=1, digest=parachute.digest)]
    weak, own = Stack((parachute,), (0.1,)), Stack((parachute,), (None,))
    with pytest.raises(ConceptNotReduced, match="parachute"):
        eraser_uses(pins, weak, pipeline.encode("a parachute over the sea", "", weak), prompt="a parachute over the sea")
    for prompt, verdict in (("a parachute over the sea", "removed"), ("a church by the sea", "not_present")):
        (use,) = eraser_uses(pins, own, pipeline.encode(prompt, "", own), prompt=prompt)
        assert use.verdict == verdict
