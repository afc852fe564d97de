"""What is read of prompts without and with a stack, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

import erasers
from erasers.errors import StackError
from erasers.pairs import templates
from tests.erasers.tiny import PARACHUTE, Text

WITH, WITHOUT = "a parachute near a frozen lake", "a teapot near a frozen lake"


@pytest.fixture(scope="module")
def text(texts: dict[str, Text]) -> Text:
    return texts["t5"]


@pytest.fixture(scope="module")
def eraser(text: Text) -> erasers.Eraser:
    made = erasers.train(*text, templates(PARACHUTE, 80, 1), config={"gamma": 2.0, "gamma_step": 1.0})
    assert made.config.presence is not None
    return made


def outcome_of(
    text: Text,
    eraser: erasers.Eraser,
    prompts: list[str],
    *,
    strength: float | None = None,
    beside: Sequence[erasers.Eraser] = (),
) -> erasers.Outcome:
    stack = [eraser, *beside]
    with erasers.read_presence(text.encoder, stack) as before:
        text.encode(prompts)
    with (
        erasers.attach(text.encoder, stack, strengths=[strength, *[None] * len(beside)]),
        erasers.read_presence(text.encoder, stack) as after,
    ):
        text.encode(prompts)
    return erasers.outcome(eraser, before, after)


def test_an_eraser_that_worked_and_one_that_did_not(text: Text, eraser: erasers.Eraser) -> None:
    worked, idle = (outcome_of(text, eraser, [WITH], strength=strength) for strength in (None, 0.0))
    assert worked.verdict == "removed"
    assert worked.score_before == idle.score_before == idle.score_after
    assert None not in (worked.score_before, worked.absent_below, worked.score_after)
    assert worked.score_after <= worked.absent_below < worked.score_before
    assert idle.verdict == "not_reduced"


def test_a_prompt_without_the_concept(text: Text, eraser: erasers.Eraser) -> None:
    assert outcome_of(text, eraser, [WITHOUT]).verdict == "not_present"


def test_of_several_prompts_the_worst_counts(text: Text, eraser: erasers.Eraser) -> None:
    assert outcome_of(text, eraser, [WITHOUT, WITH, WITHOUT]).verdict == "removed"
    assert outcome_of(text, eraser, [WITHOUT, WITH], strength=0.0).verdict == "not_reduced"


def test_reading_changes_nothing_and_leaves_nothing_behind(text: Text, eraser: erasers.Eraser) -> None:
    plain = text.encode([WITH])
    hooks = len(text.encoder._forward_hooks)
    with erasers.read_presence(text.encoder, [eraser]) as reading:
        assert torch.equal(text.encode([WITH]), plain)
    assert len(reading.of(eraser)) == 1
    assert len(text.encoder._forward_hooks) == hooks
    text.encode([WITH])
    assert len(reading.of(eraser)) == 1


def test_a_forward_that_raises_is_not_read(text: Text, eraser: erasers.Eraser) -> None:
    with erasers.read_presence(text.encoder, [eraser]) as reading:
        with pytest.raises(IndexError):
            text.encoder(input_ids=torch.full((1, 4), 10**6))
        text.encode([WITH])
    assert len(reading.of(eraser)) == 1


def test_variants_that_safree_encodes_are_not_prompts(text: Text) -> None:
    safree = erasers.from_names(*text, PARACHUTE)
    assert safree.config.presence is not None
    with erasers.attach(text.encoder, [safree]), erasers.read_presence(text.encoder, [safree]) as after:
        text.encode([WITH])
    assert len(after.of(safree)) == 1


def test_a_stack_is_read_behind_all_of_it(text: Text, eraser: erasers.Eraser) -> None:
    """An eraser of another concept that adds what this one takes out: each does its part, and the concept is there."""
    config = replace(eraser.config, concept="its opposite", parameters={"mode": "shift"}, strength=32.0)
    opposite = erasers.Eraser.build(config, {**eraser.tensors, "direction": -eraser.tensors["direction"]})
    assert outcome_of(text, eraser, [WITH]).verdict == "removed"
    assert outcome_of(text, eraser, [WITH], beside=[opposite]).verdict == "not_reduced"
    assert outcome_of(text, eraser, [WITHOUT]).verdict == "not_present"
    assert outcome_of(text, eraser, [WITHOUT], beside=[opposite]).verdict == "not_reduced"


def test_what_cannot_be_read_has_no_verdict(text: Text) -> None:
    words = erasers.from_names(*text, PARACHUTE, method="negprompt")
    found = outcome_of(text, words, [WITH])
    assert (found.score_before, found.score_after, found.absent_below, found.verdict) == (None, None, None, None)


def test_readings_of_different_prompts_are_refused(text: Text, eraser: erasers.Eraser) -> None:
    with erasers.read_presence(text.encoder, [eraser]) as before:
        text.encode([WITH, WITHOUT])
    with erasers.read_presence(text.encoder, [eraser]) as after:
        text.encode([WITH])
    with pytest.raises(StackError, match="2 prompts were read before and 1 after"):
        erasers.outcome(eraser, before, after)
    with erasers.read_presence(text.encoder, []) as nothing, pytest.raises(StackError, match="was not read"):
        erasers.outcome(eraser, nothing, after)
