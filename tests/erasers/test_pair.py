"""Two erasers at once, read in the embeddings: both concepts go; at strength 0 nothing does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import erasers
from erasers.encoding import PromptEncoder
from erasers.evaluate.pair import Legible, evaluate_pair
from erasers.pairs import templates
from tests.erasers.tiny import CHURCH, PARACHUTE, Text

OTHERS = ("a horse near a river bank", "a violin on a wooden table", "a frozen lake at dawn")


@pytest.fixture(scope="module")
def concepts(umt5: Text) -> tuple[Legible, Legible]:
    encoder = PromptEncoder(*umt5)
    return Legible.of(encoder, templates(PARACHUTE, 80, 1)), Legible.of(encoder, templates(CHURCH, 80, 1))


@pytest.fixture(scope="module")
def pair(trained: Callable[..., erasers.Eraser]) -> tuple[erasers.Eraser, erasers.Eraser]:
    return trained("umt5", "project"), trained("umt5", "project", CHURCH)


def test_both_concepts_go_and_could_be_read_before(
    umt5: Text, concepts: tuple[Legible, Legible], pair: tuple[erasers.Eraser, erasers.Eraser]
) -> None:
    numbers = evaluate_pair(PromptEncoder(*umt5), pair, concepts, others=OTHERS)
    assert min(numbers["origin_rate"], numbers["other_origin_rate"]) > 0.5
    assert max(numbers["erased_rate"], numbers["other_erased_rate"]) < 0.1
    assert numbers["kept_rate"] is not None
    assert 0.3 < numbers["kept_rate"] < 1


def test_strengths_are_each_ones_own_and_0_leaves_all_as_it_was(
    umt5: Text, concepts: tuple[Legible, Legible], pair: tuple[erasers.Eraser, erasers.Eraser]
) -> None:
    encoder = PromptEncoder(*umt5)
    none = evaluate_pair(encoder, pair, concepts, others=OTHERS, strengths=(0, 0))
    assert (none["erased_rate"], none["other_erased_rate"]) == (none["origin_rate"], none["other_origin_rate"])
    assert none["kept_rate"] == 1
    other_alone = evaluate_pair(encoder, pair, concepts, others=(), strengths=(0, None))
    assert other_alone["erased_rate"] > other_alone["other_erased_rate"]
    assert other_alone["kept_rate"] is None


def test_the_order_of_the_two_is_only_that_of_the_numbers(
    umt5: Text, concepts: tuple[Legible, Legible], pair: tuple[erasers.Eraser, erasers.Eraser]
) -> None:
    encoder = PromptEncoder(*umt5)
    one = evaluate_pair(encoder, pair, concepts, others=OTHERS)
    two = evaluate_pair(encoder, (pair[1], pair[0]), (concepts[1], concepts[0]), others=OTHERS)
    assert (two["other_origin_rate"], two["other_erased_rate"]) == (one["origin_rate"], one["erased_rate"])
    assert two["kept_rate"] == one["kept_rate"]
