"""SAFREE: which tokens are triggers, where they go, and what the authors' port does otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import erasers
from erasers.eraser import Eraser
from erasers.errors import ArtefactInvalid, ConfigError, EncoderError
from erasers.methods.safree import Safree
from tests.erasers.tiny import PARACHUTE, Text

SAFREE = Safree()
PAIRS = erasers.pairs.templates(PARACHUTE, 60, 1)
DESCRIBED: dict[str, Any] = {"alpha": 0.01, "reference": False}
REFERENCE: dict[str, Any] = {"alpha": 0.01, "reference": True}


@pytest.fixture(scope="module")
def planted() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Five tokens in twelve dimensions, independent of one another; token 2 alone lies in the concept's plane.

    The encoder mixes nothing: a prompt without a token is the other tokens.
    """
    e = torch.eye(12)[:5] * 3
    e[2] = torch.eye(12)[10] * 3 + torch.eye(12)[11]
    basis = torch.eye(12)[10:]
    return {"basis": basis}, e, e.repeat(5, 1, 1)


def test_the_token_of_the_concept_is_the_trigger(planted: Any) -> None:
    tensors, e, variants = planted
    v = SAFREE.edit(tensors, DESCRIBED, e, lambda: variants)
    assert (v != 0).any(1).tolist() == [False, False, True, False, False]
    after = e - v
    assert (after[2] @ tensors["basis"].T).norm() < 1e-5, "out of the concept's subspace"
    assert SAFREE.score(tensors, DESCRIBED, e)[2] == 1
    assert SAFREE.score(tensors, DESCRIBED, after)[2] < 1e-4 or after[2].norm() < 1e-4


def test_where_no_token_stands_out_nothing_is_done(planted: Any) -> None:
    tensors, _, _ = planted
    plain = torch.eye(12)[:5] * 3
    assert not SAFREE.edit(tensors, DESCRIBED, plain, lambda: plain.repeat(5, 1, 1)).any()


def test_end_of_sequence_is_no_trigger_but_for_the_reference(planted: Any) -> None:
    tensors, e, _ = planted
    last = e[[0, 1, 3, 4, 2]]
    variants = last.repeat(5, 1, 1)
    assert not SAFREE.edit(tensors, DESCRIBED, last, lambda: variants)[4].any()
    for i in range(5):
        variants[i, 0] = last.sum(0) - last[i]  # its summary: what position 0 says of the others
    moved = SAFREE.edit(tensors, REFERENCE, last, lambda: variants)
    assert (moved != 0).any(1).tolist() == [False, False, False, False, True]


def test_the_reference_never_tests_the_first_token(planted: Any) -> None:
    tensors, e, _ = planted
    first = e[[2, 0, 1, 3, 4]]
    variants = first.repeat(5, 1, 1)
    assert SAFREE.edit(tensors, DESCRIBED, first, lambda: variants)[0].any()
    assert not SAFREE.edit(tensors, REFERENCE, first, lambda: variants)[0].any()


def test_a_prompt_of_one_word_is_the_concepts_or_is_moved_all_the_same(planted: Any) -> None:
    tensors, e, _ = planted
    two = e[[2, 0]]  # a word and end-of-sequence
    assert SAFREE.edit(tensors, DESCRIBED, two, lambda: two.repeat(2, 1, 1))[0].any()


def test_variants_cost_one_row_a_token_and_leave_no_trace_on_other_erasers(umt5: Text, trained: Any) -> None:
    clear, safree = trained("umt5", "clear", layer=1), erasers.train(*umt5, PAIRS, method="safree", config={"gamma_step": 1.0})
    rows: list[int] = []

    def count(module: object, args: object, kwargs: dict[str, torch.Tensor], output: object) -> None:
        rows.append(len(kwargs["input_ids"]))

    prompt = "a parachute near a frozen lake"
    with erasers.attach(umt5.encoder, [clear]) as handle:
        umt5.encode([prompt])
    (alone,) = handle.uses
    renamed = Eraser.build(replace(clear.config, concept="canopy"), clear.tensors)  # a concept is in a stack once
    hook = umt5.encoder.register_forward_hook(count, with_kwargs=True)
    with erasers.attach(umt5.encoder, [renamed, safree]) as handle:
        umt5.encode([prompt])
    hook.remove()
    tokens = len(umt5.tokenizer(prompt).input_ids)
    assert sorted(rows) == [1, tokens]
    assert handle.forwards == 1
    by_concept = {use.concept: use for use in handle.uses}
    assert by_concept["canopy"].tokens_edited == alone.tokens_edited
    assert by_concept["canopy"].score_before == alone.score_before


def test_where_the_model_attends_to_padding_only_the_prompts_tokens_are_tested(umt5: Text) -> None:
    eraser = erasers.train(*umt5, PAIRS, method="safree", config={"padding": "attended", "gamma_step": 1.0}, max_length=32)
    ids = umt5.inputs(["a parachute near a frozen lake"], 32)["input_ids"]
    with torch.no_grad():
        before = umt5.encoder(ids)[0]
        with erasers.attach(umt5.encoder, [eraser]) as handle:
            after = umt5.encoder(ids)[0]
    padding = ids == 0
    assert padding.any()
    assert torch.equal(after[padding], before[padding])
    assert 0 < handle.uses[0].tokens_edited < 8


def test_a_forward_without_token_ids_fails_closed(umt5: Text) -> None:
    eraser = erasers.train(*umt5, PAIRS, method="safree", config={"gamma_step": 1.0})
    embeddings = umt5.encoder.get_input_embeddings()(umt5.inputs(["a parachute"])["input_ids"])
    with erasers.attach(umt5.encoder, [eraser]), pytest.raises(EncoderError, match="without input_ids"), torch.no_grad():
        umt5.encoder(inputs_embeds=embeddings)


def test_parameters_are_checked(umt5: Text) -> None:
    for wrong in ({}, {"alpha": 0.01}, {"alpha": -1.0, "reference": False}, {"alpha": 0.01, "reference": 1}):
        with pytest.raises(ArtefactInvalid):
            SAFREE.layout(wrong)
    with pytest.raises(ConfigError, match="safree acts behind the last block"):
        erasers.train(*umt5, PAIRS, method="safree", config={"layer": 1})
