"""NegPrompt: the handle gives the negative prompt, and the tally says whether anybody asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import erasers
from erasers.errors import ArtefactInvalid, ConfigError, StackError
from erasers.methods.negprompt import NegPrompt
from tests.erasers.tiny import PARACHUTE, Text

PAIRS = erasers.pairs.templates(PARACHUTE, 60, 1)
PROMPT = ["a parachute near a frozen lake"]


@pytest.fixture(scope="module")
def eraser(umt5: Text) -> erasers.Eraser:
    return erasers.train(*umt5, PAIRS, method="negprompt")


def test_names_are_appended_and_the_encoder_is_left_alone(umt5: Text, eraser: erasers.Eraser) -> None:
    before = umt5.encode(PROMPT)
    with erasers.attach(umt5.encoder, [eraser]) as handle:
        assert torch.equal(umt5.encode(PROMPT), before)
        assert handle.uses[0].tokens_edited == 0, "nobody has asked for the negative prompt yet"
    assert handle.negative_prompt("blurry") == "blurry, parachute, open canopy"
    assert handle.negative_prompt(" ") == "parachute, open canopy"
    assert handle.uses[0].tokens_edited == 4
    assert handle.uses[0].score_before == handle.uses[0].score_after == 0


def test_strength_zero_and_other_methods_leave_the_negative_prompt_as_it_is(
    umt5: Text, eraser: erasers.Eraser, trained: object
) -> None:
    with erasers.attach(umt5.encoder, [eraser], strengths=[0]) as handle:
        assert handle.negative_prompt(" blurry") == " blurry"
    assert handle.uses[0].tokens_edited == 0
    with erasers.attach(umt5.encoder, [trained("umt5", "project")]) as handle:  # type: ignore[operator]
        assert handle.negative_prompt("") == ""


def test_it_is_saved_and_loaded(eraser: erasers.Eraser, tmp_path: Path) -> None:
    loaded = erasers.load(eraser.save(tmp_path), expected_digest=eraser.digest)
    assert loaded.negative_words() == ("parachute", "open canopy")
    assert loaded.strength == 1
    assert loaded.config.evaluation["detected_after"] == loaded.config.evaluation["detected_before"], (
        "nothing to see in embeddings"
    )


def test_what_makes_no_sense_is_refused(umt5: Text, eraser: erasers.Eraser) -> None:
    for config in ({"gamma": 2.0}, {"layer": 1}, {"gate": True}):
        with pytest.raises(ConfigError):
            erasers.train(*umt5, PAIRS, method="negprompt", config=config)
    for wrong in ({}, {"words": []}, {"words": [""]}, {"words": "parachute"}):
        with pytest.raises(ArtefactInvalid):
            NegPrompt().layout(wrong)
    with pytest.raises(StackError, match="stage 'negative_prompt'"):
        eraser.edit(torch.zeros(1, 32))
