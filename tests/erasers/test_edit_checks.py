"""What an eraser does to hidden states must be an edit: neither nothing, nor a replacement of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import erasers
from erasers.edit_checks import check_edit
from erasers.encoding import PromptEncoder
from erasers.errors import ArtefactInvalid
from erasers.pairs import templates
from erasers.value_checks import check_values
from tests.erasers.tiny import METHODS, PARACHUTE, Text

PAIRS = templates(PARACHUTE, 32, 5)


def check(eraser: erasers.Eraser, text: Text) -> None:
    check_edit(eraser, PromptEncoder(*text), positive=PAIRS.positive, negative=PAIRS.negative)


@pytest.mark.parametrize("method", METHODS)
def test_what_a_training_makes_passes(trained: Callable[..., erasers.Eraser], umt5: Text, method: str) -> None:
    check(trained("umt5", method), umt5)


def forged(eraser: erasers.Eraser, tensors: Mapping[str, Tensor] | None = None, **config: Any) -> erasers.Eraser:
    changed = replace(eraser.config, **{"minimum_strength": None} | config)
    return erasers.Eraser.build(changed, {**eraser.tensors, **(tensors or {})})


@pytest.mark.parametrize("method", ["clear", "project"])
def test_the_identity_is_refused(trained: Callable[..., erasers.Eraser], umt5: Text, method: str) -> None:
    eraser = trained("umt5", method)
    name = "m_spec" if method == "clear" else "direction"
    for harmless in (
        forged(eraser, strength=0.0),
        forged(eraser, {name: torch.zeros_like(eraser.tensors[name])}),
        forged(eraser, gate=erasers.artefact.Gate(threshold=1e6, false_positive_rate=0.01)),
    ):
        with pytest.raises(ArtefactInvalid, match="is the identity on 32 prompts that name 'parachute'"):
            check(harmless, umt5)


def test_an_edit_larger_than_the_states_is_refused(trained: Callable[..., erasers.Eraser], umt5: Text) -> None:
    eraser = trained("umt5", "clear")
    loud = forged(eraser, {"W_enc": eraser.tensors["W_enc"].float() * 1e4})
    check_values(loud.config, loud.tensors)  # each value by itself may be one of an eraser
    with pytest.raises(ArtefactInvalid, match="times their norm; at most 10 is an edit"):
        check(loud, umt5)
