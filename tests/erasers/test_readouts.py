"""Whatever a pipeline reads of an encoder's output is erased behind the eraser's block: states, pooled outputs, projections.

transformers records hidden states by hooks that it installs at the first call that asks for them, so the first call may be
before, inside or after the `with`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import erasers
from erasers import encoders
from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from tests.erasers.tiny import D_MODEL, LAYERS, PARACHUTE, Text, make_text

ENCODERS = ("t5", "umt5", "clip", "clip-projection", "bert")
LAYER = 1
METHODS: dict[str, dict[str, Any]] = {
    "steering": {"mode": "project", "gamma": 2.0, "gamma_step": 2.0, "layer": LAYER},
    "hirm": {"steps": 20, "rank": 8, "layer": LAYER, "gamma_step": 2.0},
    "safree": {},
}
PROMPTS = ["a parachute near a frozen lake", "a parachute over a stone bridge"]


@pytest.fixture(scope="module")
def made() -> Callable[[str, str], Eraser]:
    known: dict[tuple[str, str], Eraser] = {}

    def make(family: str, method: str) -> Eraser:
        if (family, method) not in known:
            pairs = erasers.pairs.templates(PARACHUTE, 40, 1)
            known[family, method] = erasers.train(*make_text(family), pairs, method=method, config=METHODS[method])
        return known[family, method]

    return make


def read(text: Text, **options: Any) -> Any:
    inputs = text.inputs(PROMPTS)
    with torch.no_grad():
        return text.encoder(
            input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], output_hidden_states=True, **options
        )


def change(after: torch.Tensor, before: torch.Tensor) -> float:
    """The least of all prompts."""
    return float((after - before).flatten(1).norm(dim=1).min())


@pytest.mark.parametrize(
    ("method", "first_call"),
    [("steering", "before"), ("steering", "inside"), ("safree", "before"), ("safree", "inside"), ("hirm", "inside")],
)
@pytest.mark.parametrize("family", ENCODERS)
def test_everything_behind_the_block_is_erased(
    family: str, method: str, first_call: str, made: Callable[[str, str], Eraser]
) -> None:
    eraser, text = made(family, method), make_text(family)
    origin = read(make_text(family))
    assert len(origin.hidden_states) == LAYERS + 1
    if first_call == "before":
        read(text)
    with erasers.attach(text.encoder, eraser) as handle:
        outputs = [read(text), read(text)]
        as_tuple = read(text, return_dict=False)
    handle.require(rows=6)
    for output in outputs:
        assert change(output.last_hidden_state, origin.last_hidden_state) > 0.1
        for k, (state, before) in enumerate(zip(output.hidden_states, origin.hidden_states, strict=True)):
            behind = k > eraser.layer
            assert (change(state, before) > 0.1) == behind, (k, "behind" if behind else "before")
            assert behind or torch.equal(state, before)
        for name in ("pooler_output", "text_embeds"):
            if origin.get(name) is not None:
                assert change(output[name], origin[name]) > 0.01, name
    recorded = next(part for part in as_tuple if isinstance(part, tuple))
    assert all(torch.equal(state, other) for state, other in zip(recorded, outputs[0].hidden_states, strict=True))
    assert torch.equal(encoders.embeddings(as_tuple), outputs[0].last_hidden_state)
    assert torch.equal(read(text).last_hidden_state, origin.last_hidden_state), "left behind"


@pytest.mark.parametrize("family", ENCODERS)
def test_what_is_made_of_the_embeddings_is_made_of_the_erased_ones(family: str, made: Callable[[str, str], Eraser]) -> None:
    text = make_text(family)
    with erasers.attach(text.encoder, made(family, "safree")):
        output = read(text)
    encoder: Any = text.encoder
    if family in ("t5", "umt5", "bert"):
        assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    if family == "bert":
        torch.testing.assert_close(output.pooler_output, encoder.pooler(output.last_hidden_state).detach())
    if family.startswith("clip"):
        ends = text.inputs(PROMPTS)["input_ids"].eq(1).int().argmax(1)
        pooled = output.last_hidden_state[range(len(ends)), ends]
        if family == "clip":
            assert torch.equal(output.pooler_output, pooled)
        else:
            torch.testing.assert_close(output.text_embeds, encoder.text_projection(pooled).detach())


@pytest.mark.parametrize("family", ["clip", "clip-projection"])
def test_the_state_before_clips_final_norm_is_moved_as_what_the_norm_makes_of_it(
    family: str, made: Callable[[str, str], Eraser]
) -> None:
    """A pipeline with a `clip_skip` reads a recorded state and applies the norm itself."""
    text, eraser = make_text(family), made(family, "safree")
    origin = read(text)
    with erasers.attach(text.encoder, eraser):
        output = read(text)
    encoder: Any = text.encoder
    with torch.no_grad():
        normed = getattr(encoder, "text_model", encoder).final_layer_norm(output.hidden_states[-1])
    moved = (output.last_hidden_state - origin.last_hidden_state).norm(dim=-1) > 0.1
    assert moved.any(1).all()
    before, after = (float(eraser.score(states[moved]).mean()) for states in (origin.last_hidden_state, normed))
    assert after < 0.6 * before
    assert (normed - output.last_hidden_state).norm() < 0.7 * (normed - origin.last_hidden_state).norm()


def test_a_projecting_clip_is_trained_on_its_embeddings_and_not_on_its_projection() -> None:
    text = make_text("clip-projection")
    encoder = PromptEncoder(*text)
    inputs = text.inputs(PROMPTS[:1])
    with torch.no_grad():
        inner = text.encoder.text_model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    states = encoder.final_states(PROMPTS).tokens
    assert states.shape[1] == D_MODEL
    torch.testing.assert_close(states[:3], inner[0, 1:4])


def test_blocks_that_return_tuples_are_erased(umt5: Text, eraser: Eraser) -> None:
    """As decoders' blocks do: hidden states first, then what they keep for the next token."""
    text = make_text("umt5")
    stack: Any = text.encoder.encoder

    class Returning(torch.nn.Module):
        def __init__(self, block: torch.nn.Module) -> None:
            super().__init__()
            self.block = block

        def forward(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, str]:
            return self.block(*args, **kwargs), "cache"

    seen: list[Any] = []

    def first(module: torch.nn.Module, args: Any, output: Any) -> torch.Tensor:
        seen.append(output)
        return encoders.hidden(output)

    stack.block[eraser.layer] = Returning(stack.block[eraser.layer])
    stack.block[eraser.layer].register_forward_hook(first)  # a UMT5 stack wants a tensor
    with erasers.attach(text.encoder, eraser, fingerprint=eraser.config.encoder.fingerprint):
        after = text.encode(PROMPTS)
    with erasers.attach(umt5.encoder, eraser):
        assert torch.equal(after, umt5.encode(PROMPTS))
    assert seen[0][1] == "cache"
