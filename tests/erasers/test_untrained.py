"""An eraser from names alone: the one that a training of the method would have made, or a refusal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import erasers
from erasers import encoders
from erasers.errors import ConfigError
from tests.erasers.tiny import PARACHUTE, Text

PAIRS = erasers.pairs.templates(PARACHUTE, 60, 1)
NAMED = "a parachute near a frozen lake"


@pytest.fixture(params=["safree", "negprompt"])
def method(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_is_what_a_training_would_have_made(text: Text, method: str) -> None:
    config = {"gamma_step": 1.0} if method == "safree" else {}
    trained = erasers.train(*text, PAIRS, method=method, config=config)
    free = erasers.from_names(*text, PARACHUTE, method=method)
    own = free.tensors.keys() - {"presence"}  # the reader is fitted on each one's own pairs
    assert own == trained.tensors.keys() - {"presence"}
    assert all(torch.equal(free.tensors[name], trained.tensors[name]) for name in own)
    assert (free.config.parameters, free.layer, free.strength) == (trained.config.parameters, trained.layer, 1.0)
    assert free.config.evaluation == free.config.data == {}, "nothing was measured, and nothing says that it was"


def test_it_acts_on_what_names_the_concept(text: Text) -> None:
    eraser = erasers.from_names(*text, PARACHUTE)
    before = text.encode([NAMED])
    with erasers.attach(text.encoder, [eraser], text.tokenizer) as handle:
        after = text.encode([NAMED])
    assert not torch.equal(after, before)
    (use,) = handle.uses
    assert use.tokens_edited > 0
    assert use.score_after <= use.score_before


def test_the_same_names_give_the_same_bytes(umt5: Text, method: str, tmp_path: Path) -> None:
    first = erasers.from_names(*umt5, PARACHUTE, method=method)
    umt5.encoder.train()  # dropout must not tell
    again = erasers.from_names(*umt5, PARACHUTE, method=method, identity=encoders.identity(*umt5))
    assert umt5.encoder.training
    umt5.encoder.eval()
    assert first.digest == again.digest
    assert erasers.load(first.save(tmp_path), expected_digest=first.digest).config == first.config
    assert erasers.from_names(*umt5, erasers.Concept("parachute"), method=method).digest != first.digest


def test_a_name_that_the_tokenizer_cannot_spell_is_refused(umt5: Text, method: str) -> None:
    """It would stand for every unknown word: of a prompt with another one, too, the same would be erased."""
    assert umt5.tokenizer.unk_token_id in umt5.tokenizer("zeppelin").input_ids
    for concept in (erasers.Concept("zeppelin"), erasers.Concept("parachute", synonyms=("open zeppelin",))):
        with pytest.raises(ConfigError, match=r"cannot spell '(open )?zeppelin'"):
            erasers.from_names(*umt5, concept, method=method)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "clear"}, "clear must be trained; without training there are safree, negprompt"),
        ({"config": {"gamma": "auto"}}, "gamma must be a number"),
        ({"config": {"gate": True}}, "gate must be off"),
        ({"config": {"alpha": -1.0}}, "alpha must be a number from 0"),
        ({"config": {"aplha": 0.1}}, "did you mean 'alpha'"),
    ],
)
def test_what_needs_pairs_is_refused(umt5: Text, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        erasers.from_names(*umt5, PARACHUTE, **options)
