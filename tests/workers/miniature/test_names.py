"""Names that make erasing hard: new to the encoder, misspelt, within other words, overlapping. Encoder and erasers are real."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import erasers
from erasers.pairs import templates
from workers.contract import FallbackPin
from workers.detection.detectors import SPELLINGS, detector_for
from workers.detection.watch import Watch
from workers.miniature.vocabulary import PAPER_TEN
from workers.miniature.weights import eraser_directory
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.residency.fallbacks import Fallbacks
from workers.settings import WorkerSettings
from workers.training.evaluation import film

CLIPS = 4
QUICK = {"mode": "project", "gamma_max": 2.0}
ORIGIN = Stack()


@pytest.fixture(scope="module")
def miniature() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature", device="cpu"))


@pytest.fixture(scope="module")
def rate(miniature: VideoPipeline) -> Callable[[str, str, Stack], float]:
    """rate(prompt, shows, stack): the share of frames that show the object."""

    def measure(prompt: str, shows: str, stack: Stack) -> float:
        judge = detector_for("miniature", shows, Watch())
        assert judge is not None
        frames = film(miniature, [prompt] * CLIPS, range(CLIPS), stack)
        return sum(judge.rate(each, shows) for each in frames) / CLIPS

    return measure


def shipped(concept: str) -> Stack:
    return Stack((erasers.load(eraser_directory(concept)),), (None,))


def safree(miniature: VideoPipeline, concept: str) -> Stack:
    pin = FallbackPin(concept=concept, method="safree", settings={"alpha": 0.01, "reference": False}, strength=1.0)
    return Fallbacks(miniature).stack([pin])


def trained(miniature: VideoPipeline, concept: erasers.Concept, keep_prompts: tuple[str, ...] = ()) -> erasers.Eraser:
    return erasers.train(
        miniature.text_encoder,
        miniature.tokenizer,
        templates(concept, 300, 1),
        method="steering",
        config=QUICK,
        keep_prompts=keep_prompts,
    )


def test_a_word_that_the_encoder_never_saw(miniature: VideoPipeline) -> None:
    """It is spelt in pieces, and what they come to can be found and taken out, by training and by name alone."""
    assert "▁zeppelin" not in miniature.tokenizer.get_vocab()
    assert detector_for("miniature", "zeppelin", Watch()) is None
    numbers = trained(miniature, erasers.Concept("zeppelin")).config.evaluation
    assert numbers["detected_before"] >= 0.7
    assert numbers["detected_after"] <= 0.2
    (use,) = miniature.encode("a zeppelin over the sea", "", safree(miniature, "zeppelin")).uses
    assert use.tokens_edited > 0


def test_a_misspelt_one(rate: Callable[[str, str, Stack], float]) -> None:
    assert rate("a chian saw over the sea", "chain saw", ORIGIN) >= 0.3, "what is left of the name draws it"
    assert rate("a chian saw over the sea", "chain saw", shipped("chain saw")) <= 0.1


def test_full_width_letters_are_the_letters_and_other_alphabets_are_not(miniature: VideoPipeline) -> None:
    stack = shipped("parachute")

    def encoded(name: str) -> torch.Tensor:
        return miniature.encode(f"a {name} over the sea", "", stack).prompt_embeds

    assert torch.equal(encoded("\uff50\uff41\uff52achute"), encoded("parachute"))
    assert not torch.equal(encoded("p\u0430rachute"), encoded("parachute"))


def test_the_suites_spellings_differ_from_the_plain_prompts_in_the_name_alone() -> None:
    for concept in PAPER_TEN:
        judge = detector_for("miniature", concept, Watch())
        assert judge is not None
        plain = judge.probes("plain", 10, 1)
        for spelling in SPELLINGS:
            spelt = judge.probes(spelling, 10, 1)
            assert spelt == judge.probes(spelling, 10, 1)
            for one, other in zip(plain, spelt, strict=True):
                before, after = one.prompt.split(concept, 1)
                assert other.prompt.startswith(before)
                assert other.prompt.endswith(after)
                assert erasers.Concept(concept).named_in(other.prompt) is None
                assert other.shows == concept


def test_a_name_within_another_word(miniature: VideoPipeline, rate: Callable[[str, str, Stack], float]) -> None:
    """The eraser of `tench` also goes for `carp`, a name that it never saw; a car is no part of one. And a cart is not
    a car that the eraser of cars should have edited, or else every prompt with a cart would fail."""
    assert rate("a carp over the sea", "tench", ORIGIN) >= 0.3
    assert rate("a carp over the sea", "tench", shipped("tench")) <= 0.1
    before = rate("a car over the sea", "car", ORIGIN)
    assert before >= 0.3
    assert rate("a car over the sea", "car", shipped("tench")) >= 0.8 * before
    assert erasers.Concept(safree(miniature, "car").erasers[0].concept).named_in("a cart by the sea") is None


def test_one_that_overlaps_with_a_neighbour_to_keep(miniature: VideoPipeline) -> None:
    puppies = templates(erasers.Concept("puppy"), 40, 1).positive
    dog = trained(miniature, erasers.Concept("dog", keep=("puppy",)), puppies)
    numbers = dog.config.evaluation
    assert numbers["detected_before"] >= 0.9
    assert numbers["detected_after"] <= 0.1
    assert numbers["drift_keep"] <= 0.25 < 2 * 0.25 < numbers["change_positive"], "within the budget, and far below the dogs'"
    both = Stack((dog,), (None,)) + safree(miniature, "puppy")
    uses = {use.concept: use.tokens_edited for use in miniature.encode("a dog beside a puppy", "", both).uses}
    assert uses["dog"] > 0 < uses["puppy"], "and each goes where each is asked for"
