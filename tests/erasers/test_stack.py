"""Stacks: what `attach` refuses, reports and leaves alone. What holds for every method is in test_conformance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

import erasers
from erasers.artefact import Gate
from erasers.eraser import Eraser
from erasers.errors import ConfigError, EncoderError, HookTargetMissing, StackError
from erasers.fused import Fused
from tests.erasers.tiny import CHURCH, PARACHUTE, Text

WITH, WITHOUT = "a parachute near a frozen lake", "a teapot near a frozen lake"


@pytest.fixture(scope="session")
def three(trained: Callable[..., Eraser]) -> list[Eraser]:
    """Two on one layer, one deeper."""
    guitar = erasers.Concept("teapot")
    return [
        trained("umt5", concept=PARACHUTE, layer=1, gamma=1.5),
        trained("umt5", concept=CHURCH, layer=1, gamma=1.0),
        trained("umt5", concept=guitar, layer=2, gamma=1.0),
    ]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations([0, 1, 2]), strengths=st.lists(st.floats(0, 3), min_size=3, max_size=3))
def test_order_never_matters(umt5: Text, three: list[Eraser], order: list[int], strengths: list[float]) -> None:
    prompts = ["a church and a parachute with a teapot near a vineyard", WITHOUT]
    outputs, uses = [], []
    for one in ([0, 1, 2], order):
        with erasers.attach(umt5.encoder, [three[i] for i in one], strengths=[strengths[i] for i in one]) as handle:
            outputs.append(umt5.encode(prompts))
        uses.append(handle.uses)
    assert torch.equal(outputs[0], outputs[1])
    assert uses[0] == uses[1]


def test_uses_are_the_receipt(umt5: Text, three: list[Eraser]) -> None:
    with erasers.attach(umt5.encoder, three, strengths=[None, 0.0, 2.0]) as handle:
        assert [use.tokens_edited for use in handle.uses] == [0, 0, 0]
        umt5.encode([WITH])
        first = {use.concept: use for use in handle.uses}
        umt5.encode([WITH])
    assert handle.forwards == 2
    by_concept = {use.concept: use for use in handle.uses}
    parachute = by_concept["parachute"]
    assert (parachute.digest, parachute.layer, parachute.strength) == (three[0].digest, 1, 1.5)
    assert parachute.tokens_edited == 2 * first["parachute"].tokens_edited > 0
    assert parachute.score_before == first["parachute"].score_before > parachute.score_after
    assert by_concept["church"].tokens_edited == 0
    assert by_concept["church"].strength == 0
    assert not parachute.gated


def test_a_layers_erasers_act_as_the_sum_of_the_single_ones(umt5: Text, three: list[Eraser]) -> None:
    """One pair of matrix products against each eraser's own v; their strengths differ, one has a JumpReLU, and one projects."""
    jump = dict(three[1].tensors) | {"threshold": torch.full_like(three[1].tensors["b_enc"], 0.05)}
    second = Eraser.build(replace(three[1].config, parameters={"activation": "jumprelu"}), jump)
    h = torch.randn(40, three[0].config.encoder.d_model, generator=torch.Generator().manual_seed(0)) * 3
    reads = {name: three[0].tensors[name] for name in ("W_enc", "b_enc")}
    reader = normalize(torch.linspace(-1, 1, len(reads["b_enc"])), dim=0)
    reads |= {"reader": reader, "direction": torch.linspace(-0.2, 0.3, h.shape[1])}
    projection = {"activation": "relu", "action": "projection", "offset": 0.1}
    third = Eraser.build(replace(three[0].config, concept="third", parameters=projection), reads)
    every = [three[0], third, second]
    together = Fused(every, h.device)
    gamma = torch.tensor([[1.5, 0.7, 0.5]]).expand(len(h), -1)
    specific = together.specific(h)
    scores = together.scores(specific)
    wanted = sum(strength * one.edit(h).v for strength, one in zip((1.5, 0.7, 0.5), every, strict=True))
    assert isinstance(wanted, torch.Tensor)
    assert min(float(one.edit(h).v.norm(dim=1).max()) for one in every) > 0.1
    assert torch.allclose(together.delta(specific, scores, gamma), wanted, atol=1e-4)
    assert torch.allclose(scores, torch.stack([one.edit(h).score for one in every], dim=1), atol=1e-4)
    with pytest.raises(ValueError, match="erasers of one layer"):
        Fused(three, h.device)


def test_only_real_tokens_are_counted_and_scored(umt5: Text, eraser: Eraser) -> None:
    counts = []
    for width in (16, 40):
        with erasers.attach(umt5.encoder, [eraser]) as handle:
            umt5.encode([WITH], width)
        counts.append(handle.uses[0].tokens_edited)
        assert handle.uses[0].tokens_edited <= 8
    assert counts[0] == counts[1]


def test_without_a_mask_every_position_is_edited(umt5: Text, eraser: Eraser) -> None:
    ids = umt5.inputs([WITH], 40)["input_ids"]
    with erasers.attach(umt5.encoder, [eraser], strengths=[1.0]) as handle, torch.no_grad():
        umt5.encoder(ids)
    assert handle.uses[0].tokens_edited > 8


def test_a_closed_gate_is_the_identity_and_an_open_one_is_not(umt5: Text, eraser: Eraser) -> None:
    with erasers.attach(umt5.encoder, [eraser], strengths=[0.0]) as handle:
        umt5.encode([WITH])
    score = handle.uses[0].score_before
    config = replace(eraser.config, gate=Gate(threshold=score * 0.9, false_positive_rate=0.01))
    gated = Eraser.build(config, eraser.tensors)
    before = umt5.encode([WITH, WITHOUT])
    with erasers.attach(umt5.encoder, [gated]) as handle:
        after = umt5.encode([WITH, WITHOUT])
    assert not torch.equal(after[0], before[0])
    assert torch.equal(after[1], before[1])
    (use,) = handle.uses
    assert use.gated
    with erasers.attach(umt5.encoder, [eraser]):
        assert not torch.equal(umt5.encode([WITHOUT])[0], before[1]), "without the gate it is touched"
    with erasers.attach(umt5.encoder, [gated]) as handle:
        umt5.encode([WITHOUT])
    assert handle.uses[0].tokens_edited == 0


def test_a_stack_must_make_sense(umt5: Text, three: list[Eraser]) -> None:
    same_concept = Eraser.build(replace(three[0].config, seed=7), three[0].tensors)
    for stack, strengths, message in (
        ([], None, "no erasers given"),
        ([three[0], three[0]], None, "digest .* more than once"),
        ([three[0], same_concept], None, "concept parachute is in the stack more than once"),
        (three, [1.0], "1 strengths for 3 erasers"),
    ):
        with pytest.raises(StackError, match=message), erasers.attach(umt5.encoder, stack, strengths=strengths):
            pass
    for strength in (-1.0, float("nan"), float("inf")):
        refused = pytest.raises(ConfigError, match="strength of 'parachute'")
        with refused, erasers.attach(umt5.encoder, three[:1], strengths=[strength]):
            pass


def test_one_stack_at_a_time(umt5: Text, three: list[Eraser]) -> None:
    refused = pytest.raises(StackError, match="attach all erasers at once")
    with erasers.attach(umt5.encoder, three[:1]), refused, erasers.attach(umt5.encoder, three[1:]):
        pass
    with erasers.attach(umt5.encoder, three[1:]):
        pass


def test_a_hook_that_matches_nothing_raises(umt5: Text, eraser: Eraser) -> None:
    beyond = replace(eraser.config, layer=9, encoder=replace(eraser.config.encoder, layers=12))
    lost = Eraser.build(beyond, eraser.tensors)
    with pytest.raises(HookTargetMissing, match="there is no block 9"), erasers.attach(umt5.encoder, [lost]):
        pass
    with erasers.attach(umt5.encoder, [eraser]):
        pass


def test_blocks_run_outside_the_encoders_forward_fail_closed(umt5: Text, eraser: Eraser) -> None:
    with erasers.attach(umt5.encoder, [eraser]), pytest.raises(EncoderError, match="outside its forward"):
        umt5.encoder.encoder(umt5.inputs([WITH])["input_ids"])


def test_rows_beyond_the_batch_are_refused(umt5: Text, eraser: Eraser) -> None:
    with erasers.attach(umt5.encoder, [eraser], rows=[3]), pytest.raises(StackError, match=r"rows \[3\] of a batch of 1"):
        umt5.encode([WITH])
