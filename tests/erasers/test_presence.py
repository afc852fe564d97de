"""The score of a prompt: what it reads, what it does not, and its scale."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import erasers
from erasers.artefact import Presence
from erasers.encoding import FlatStates, PromptEncoder, max_by_prompt
from erasers.pairs import templates
from erasers.presence import TENSOR, fit_presence, token_scores
from tests.erasers.tiny import PARACHUTE, Text

D_MODEL = 12


def states(*, with_concept: bool, seed: int, prompts: int = 200, length: int = 8, strength: float = 6.0) -> FlatStates:
    """Noise; in a prompt with the concept, one token of it lies along the first dimension."""
    tokens = torch.randn(prompts, length, D_MODEL, generator=torch.Generator().manual_seed(seed))
    if with_concept:
        tokens[:, seed % length, 0] += strength
    return FlatStates(tokens.flatten(0, 1), torch.arange(prompts).repeat_interleave(length))


def fitted(strength: float = 6.0) -> tuple[Tensor, Presence]:
    found = fit_presence(
        positive=states(with_concept=True, seed=1, strength=strength),
        negative=states(with_concept=False, seed=2),
        held_out=states(with_concept=True, seed=3, strength=strength),
        absent=states(with_concept=False, seed=4),
    )
    assert found is not None
    return found


def scores(found: tuple[Tensor, Presence], of: FlatStates) -> Tensor:
    return max_by_prompt(token_scores({TENSOR: found[0]}, found[1], of.tokens), of.prompt)


def test_prompts_with_the_concept_score_about_1_and_those_without_about_0() -> None:
    found = fitted()
    present, absent = (scores(found, states(with_concept=with_concept, seed=5)) for with_concept in (True, False))
    assert float(present.mean()) == pytest.approx(1, abs=0.1)
    assert float(absent.mean()) == pytest.approx(0, abs=0.1)
    assert float((present > found[1].absent_below).double().mean()) > 0.99
    assert float((absent > found[1].absent_below).double().mean()) < 0.01


def test_more_words_do_not_hide_the_concept() -> None:
    """A mean over tokens would: the same token among 80 has a tenth of the weight that it has among 8."""
    found = fitted()
    long = states(with_concept=True, seed=5, length=80)
    assert float((scores(found, long) > found[1].absent_below).double().mean()) > 0.99


def test_a_concept_that_cannot_be_read_has_no_reference() -> None:
    positive, negative, held_out, absent = (states(with_concept=False, seed=seed) for seed in (1, 2, 3, 4))
    assert fit_presence(positive=positive, negative=negative, held_out=held_out, absent=absent) is None


def test_training_stores_the_reference(texts: dict[str, Text]) -> None:
    """Of a method that acts on the embeddings; a negative prompt leaves them alone, and so has none."""
    text, pairs = texts["t5"], templates(PARACHUTE, 80, 1)
    eraser = erasers.train(*text, pairs, config={"gamma": 2.0})
    presence = eraser.config.presence
    assert presence is not None
    assert eraser.tensors[TENSOR].shape == (eraser.config.encoder.d_model,)
    unseen = templates(PARACHUTE, 100, 7)
    encoder = PromptEncoder(*text)

    def share_above(prompts: tuple[str, ...]) -> float:
        of = encoder.final_states(prompts)
        found = max_by_prompt(token_scores(eraser.tensors, presence, of.tokens), of.prompt)
        return float((found > presence.absent_below).double().mean())

    assert share_above(unseen.positive) > 0.8
    assert share_above(unseen.negative) < 0.2
    words = erasers.train(*text, pairs, method="negprompt")
    assert words.config.presence is None
    assert words.config.minimum_strength is None
