"""What every method must do on every family of encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import erasers
from erasers import encoders
from erasers.errors import EncoderMismatch
from tests.erasers.tiny import CHURCH, D_MODEL, FAMILIES, METHODS, PARACHUTE, Text, make_text

pytestmark = pytest.mark.parametrize("method", METHODS)
PROMPTS = ["a parachute near a frozen lake", "a clip of a teapot beside a stone bridge, motion blur"]
Trained = Callable[..., erasers.Eraser]


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def blocks_have_hooks(text: Text) -> bool:
    blocks = encoders.blocks(text.encoder)
    projections = [encoders.attention_projection(text.encoder, layer) for layer in range(len(blocks))]
    modules = [text.encoder, *blocks, *projections]
    return any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def state_where_it_acts(text: Text, prompts: list[str], *stack: erasers.Eraser, strength: float | None = None) -> torch.Tensor:
    """(B, T, d_model): the output of the module that the first of the stack edits, after the stack has."""
    seen: list[torch.Tensor] = []

    def look(module: object, args: object, output: Any) -> None:
        seen.append((output[0] if module is text.encoder else encoders.hidden(output)).clone())

    match stack[0].stage:
        case "attention":
            place: Any = encoders.attention_projection(text.encoder, stack[0].layer)
        case "block":
            place = encoders.block(text.encoder, stack[0].layer)
        case _:
            place = text.encoder
    with erasers.attach(text.encoder, stack, strengths=[strength] * len(stack)):
        handle = place.register_forward_hook(look)  # after the stack's own hook
        text.encode(prompts)
        handle.remove()
    return seen.pop()  # the last one: the forwards before it were of variants


def test_edits_and_keeps_shape_and_dtype(method: str, family: str, texts: dict[str, Text], trained: Trained) -> None:
    text, eraser = texts[family], trained(family, method)
    before = text.encode(PROMPTS)
    with erasers.attach(*[text.encoder, [eraser], text.tokenizer]) as handle:
        after = text.encode(PROMPTS)
    assert after.shape == before.shape
    assert after.dtype == before.dtype
    assert not torch.equal(after, before)
    (use,) = handle.uses
    assert use.tokens_edited > 0
    if method == "safree":  # edits the tokens that name the concept; the highest score may be another token's
        assert use.score_after <= use.score_before
    elif eraser.stage != "attention":  # that one is trained for what comes out at the top, not where it acts
        assert use.score_after < use.score_before
    assert handle.forwards == 1
    assert torch.equal(text.encode(PROMPTS), before), "left behind after the with"


def test_strength_zero_is_the_identity_bit_for_bit(method: str, family: str, texts: dict[str, Text], trained: Trained) -> None:
    text, eraser = texts[family], trained(family, method)
    before = text.encode(PROMPTS)
    with erasers.attach(text.encoder, [eraser], strengths=[0]) as handle:
        assert torch.equal(text.encode(PROMPTS), before)
    assert handle.uses[0].tokens_edited == 0
    assert handle.uses[0].score_after == handle.uses[0].score_before > 0


def test_padding_is_untouched_at_the_layer(method: str, family: str, texts: dict[str, Text], trained: Trained) -> None:
    text, eraser = texts[family], trained(family, method)
    inputs = text.inputs(PROMPTS)
    edited, origin = state_where_it_acts(text, PROMPTS, eraser), state_where_it_acts(text, PROMPTS, eraser, strength=0)
    padding = inputs["attention_mask"] == 0
    assert padding.any()
    assert torch.equal(edited[padding], origin[padding])
    assert not torch.equal(edited[~padding], origin[~padding])


def test_other_rows_of_a_batch_are_untouched(method: str, family: str, texts: dict[str, Text], trained: Trained) -> None:
    text, eraser = texts[family], trained(family, method)
    before = text.encode([PROMPTS[0], PROMPTS[0]])
    with erasers.attach(text.encoder, [eraser], rows=[1]):
        after = text.encode([PROMPTS[0], PROMPTS[0]])
    assert torch.equal(after[0], before[0])
    assert not torch.equal(after[1], before[1])


def test_hooks_are_gone_after_an_exception(method: str, family: str, texts: dict[str, Text], trained: Trained) -> None:
    text, eraser = texts[family], trained(family, method)

    def fail_inside() -> None:
        with erasers.attach(text.encoder, [eraser]):
            assert blocks_have_hooks(text)
            raise RuntimeError("cancelled")

    with pytest.raises(RuntimeError, match="cancelled"):
        fail_inside()
    assert not blocks_have_hooks(text)


def test_save_and_load_give_the_same_output(
    method: str, family: str, texts: dict[str, Text], trained: Trained, tmp_path: Path
) -> None:
    text, eraser = texts[family], trained(family, method)
    loaded = erasers.load(eraser.save(tmp_path), expected_digest=eraser.digest)
    assert loaded.config == eraser.config
    outputs = []
    for one in (eraser, loaded):
        with erasers.attach(text.encoder, [one]):
            outputs.append(text.encode(PROMPTS))
    assert torch.equal(outputs[0], outputs[1])
    assert loaded.save(tmp_path / "again").joinpath("config.json").read_bytes() == (tmp_path / "config.json").read_bytes()


def test_another_encoder_is_refused(method: str, family: str, trained: Trained) -> None:
    other = make_text(family, seed=1)
    with (
        pytest.raises(EncoderMismatch, match="train an eraser for it"),
        erasers.attach(other.encoder, [trained(family, method)]),
    ):
        pass


def test_the_same_encoder_with_another_tokenizer_is_refused(
    method: str, family: str, texts: dict[str, Text], trained: Trained
) -> None:
    text = texts[family]
    other = make_text(family).tokenizer
    other.add_tokens(["parasail"])
    eraser = trained(family, method)
    with erasers.attach(text.encoder, [eraser], text.tokenizer):
        pass
    with pytest.raises(EncoderMismatch), erasers.attach(text.encoder, [eraser], other):
        pass


def test_works_in_bfloat16(method: str, family: str) -> None:
    text = make_text(family)
    text.encoder.to(torch.bfloat16)
    pairs = erasers.pairs.templates(PARACHUTE, 40, 1)
    name, options = METHODS[method]
    quick = {"gamma_max": 2.0, "gamma_step": 2.0} | ({"iterations": 10, "expansion": 2} if name == "clear" else {})
    eraser = erasers.train(*text, pairs, method=name, config=options | quick)
    before = text.encode(PROMPTS)
    with erasers.attach(text.encoder, [eraser]) as handle:
        after = text.encode(PROMPTS)
    assert after.dtype == before.dtype == torch.bfloat16
    assert after.isfinite().all()
    assert handle.uses[0].tokens_edited > 0


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(h=st.lists(st.lists(st.floats(-50, 50, width=32), min_size=D_MODEL, max_size=D_MODEL), min_size=2, max_size=5))
def test_an_edit_is_a_function_of_each_token_alone(method: str, h: list[list[float]], trained: Trained) -> None:
    eraser, tokens = trained("umt5", method), torch.tensor(h)
    if eraser.stage == "embeddings":  # what a prompt says is in all of its tokens; the score is still of each alone
        alone_scores = torch.cat([eraser.score(token[None]) for token in tokens])
        torch.testing.assert_close(eraser.score(tokens), alone_scores, rtol=1e-4, atol=1e-4)
        return
    together = eraser.edit(tokens, tokens)
    alone = [eraser.edit(token[None], token[None]) for token in tokens]
    torch.testing.assert_close(together.v, torch.cat([edit.v for edit in alone]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.score, torch.cat([edit.score for edit in alone]), rtol=1e-4, atol=1e-3)


def test_two_concepts_are_the_sum_of_each_and_order_does_not_matter(
    method: str, family: str, texts: dict[str, Text], trained: Trained
) -> None:
    text = texts[family]
    where = {} if trained(family, method).stage == "embeddings" else {"layer": 1}
    one, two = (trained(family, method, concept, gamma=1.5, **where) for concept in (PARACHUTE, CHURCH))
    prompts = ["a church and a parachute near a harbour at dawn"]

    def at_layer(*stack: erasers.Eraser) -> torch.Tensor:
        return state_where_it_acts(text, prompts, *stack)

    origin = state_where_it_acts(text, prompts, one, strength=0)
    both = at_layer(one, two)
    torch.testing.assert_close(both - origin, (at_layer(one) - origin) + (at_layer(two) - origin), rtol=1e-4, atol=1e-5)
    assert torch.equal(both, at_layer(two, one))
    assert not torch.equal(both, at_layer(one))
