"""Every eraser of a stack is proven to have run after each forward of the encoder, or an error is raised.

Each way around the hooks is tried with erasers attached, against the same call of an encoder that nothing stands in the way of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MethodType
from typing import Any

import pytest
import torch
from accelerate.hooks import AlignDevicesHook, add_hook_to_module
from torch import nn

import erasers
from erasers.cache import build
from erasers.encoding import PromptEncoder
from erasers.errors import EncoderError, EraserBypassed
from erasers.hooks import running_eagerly
from tests.erasers.tiny import FAMILIES, LAYERS, PARACHUTE, Text, make_text

PROMPTS = ["a parachute near a frozen lake", "a teapot near a frozen lake"]
STAGES = {"clear": "block", "hirm": "attention", "safree": "embeddings"}
Trained = Callable[..., erasers.Eraser]


@pytest.fixture(autouse=True)
def fresh_compiler() -> Iterator[None]:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def run(encoder: Callable[..., Any], text: Text) -> torch.Tensor:
    inputs = text.inputs(PROMPTS)
    with torch.no_grad():
        states: torch.Tensor = encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    return states


def erased(text: Text, eraser: erasers.Eraser) -> torch.Tensor:
    with erasers.attach(text.encoder, eraser):
        return text.encode(PROMPTS)


def wrapped(encoder: Any) -> tuple[Any, Any]:
    """The encoder as it is attached to, and as it is called."""
    compiled = torch.compile(encoder, backend="eager")
    return compiled, compiled


def wrapped_elsewhere(encoder: Any) -> tuple[Any, Any]:
    return encoder, torch.compile(encoder, backend="eager")


def in_place(encoder: Any) -> tuple[Any, Any]:
    encoder.compile(backend="eager")
    return encoder, encoder


def block_by_block(encoder: Any) -> tuple[Any, Any]:
    for block in encoder.encoder.block:
        block.compile(backend="eager")
    return encoder, encoder


@pytest.mark.parametrize(
    ("way", "method", "called_before"),
    [
        (wrapped, "clear", True),
        (wrapped_elsewhere, "clear", True),
        (in_place, "clear", True),
        (in_place, "safree", False),
        (block_by_block, "clear", True),
    ],
)
def test_compiled_encoders_are_erased(
    way: Callable[[Any], tuple[Any, Any]], method: str, called_before: bool, umt5: Text, trained: Trained
) -> None:
    eraser = trained("umt5", method)
    origin, wanted = umt5.encode(PROMPTS), erased(umt5, eraser)
    assert not torch.equal(origin, wanted)
    text = make_text("umt5")
    given, called = way(text.encoder)
    if called_before:
        torch.testing.assert_close(run(called, text), origin)
    with erasers.attach(given, eraser, fingerprint=eraser.config.encoder.fingerprint) as handle:
        torch.testing.assert_close(run(called, text), wanted)
    handle.require(rows=2)
    assert handle.uses[0].tokens_edited > 0
    torch.testing.assert_close(run(called, text), origin, msg="left behind")


def test_an_encoder_compiled_inside_the_with_is_erased_and_keeps_no_hooks(umt5: Text, eraser: erasers.Eraser) -> None:
    text, origin, wanted = make_text("umt5"), umt5.encode(PROMPTS), erased(umt5, eraser)
    with erasers.attach(text.encoder, eraser):
        text.encoder.compile(backend="eager")
        torch.testing.assert_close(run(text.encoder, text), wanted)
    torch.testing.assert_close(run(text.encoder, text), origin)


def test_code_stays_eager_until_the_last_stack_is_gone() -> None:
    runs: list[str] = []

    def backend(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        runs.append("compiled")
        return graph.forward

    twice = torch.compile(lambda x: x * 2, backend=backend)
    first, second = running_eagerly(), running_eagerly()
    with first:
        second.__enter__()
    twice(torch.ones(2))
    assert runs == [], "one of them is still open"
    second.__exit__(None, None, None)
    twice(torch.ones(2))
    assert runs == ["compiled"]


def test_training_on_a_compiled_encoder_gives_the_same_eraser() -> None:
    pairs, options = erasers.pairs.templates(PARACHUTE, 40, 1), {"mode": "project", "gamma_step": 2.0}
    plain, compiled = make_text("umt5"), make_text("umt5")
    wanted = erasers.train(*plain, pairs, method="steering", config=options)
    compiled.encoder.compile(backend="eager")
    run(compiled.encoder, compiled)
    assert build(PromptEncoder(*compiled), PROMPTS).states.shape[0] == LAYERS
    module = torch.compile(compiled.encoder, backend="eager")
    assert erasers.train(module, compiled.tokenizer, pairs, method="steering", config=options).digest == wanted.digest


@pytest.mark.parametrize("method", STAGES)
def test_a_hook_that_does_not_run_is_an_error(method: str, umt5: Text, trained: Trained) -> None:
    """A module whose `forward` is called, and not the module, runs without its hooks; so does one that a graph replaces."""
    text, eraser = make_text("umt5"), trained("umt5", method)
    stack: Any = text.encoder.encoder
    block = stack.block[eraser.layer]
    places = {
        "clear": (stack.block, eraser.layer),
        "hirm": (block.layer[0].SelfAttention, "o"),
        "safree": (stack, "final_layer_norm"),
    }
    parent, name = places[method]
    hooked = parent[name] if isinstance(name, int) else getattr(parent, name)
    with erasers.attach(text.encoder, eraser) as handle:
        run(text.encoder, text)
        unhooked = {"__call__": lambda self, *args, **kwargs: self.forward(*args, **kwargs)}
        hooked.__class__ = type("Captured", (type(hooked),), unhooked)
        with pytest.raises(EraserBypassed, match="'parachute' was not erased"):
            run(text.encoder, text)
        assert handle.forwards == 1
        assert handle.uses[0].rows == 2


def test_a_block_that_is_replaced_inside_the_with_is_an_error(umt5: Text, eraser: erasers.Eraser) -> None:
    text = make_text("umt5")
    stack: Any = text.encoder.encoder
    with erasers.attach(text.encoder, eraser):
        stack.block[eraser.layer] = make_text("umt5").encoder.encoder.block[eraser.layer]
        with pytest.raises(EraserBypassed, match=f"hook on block of block {eraser.layer}"):
            run(text.encoder, text)


def test_a_block_that_sees_part_of_the_batch_is_an_error(umt5: Text, eraser: erasers.Eraser) -> None:
    """The call has no attention mask whose shape would differ."""
    text = make_text("umt5")
    block: Any = text.encoder.encoder.block[eraser.layer]

    class Halves(nn.Module):
        def forward(self, h: torch.Tensor, mask: Any, *args: Any, **kwargs: Any) -> Any:
            return torch.cat([block(part, None, *args, **kwargs) for part in h.split(1)])

    ids = text.inputs(PROMPTS)["input_ids"]
    with erasers.attach(text.encoder, eraser):
        text.encoder.encoder.block[eraser.layer] = Halves()
        with torch.no_grad(), pytest.raises(EncoderError, match=r"shape \(2, 32\) for hidden states \(1, 32, 32\)"):
            text.encoder(ids)


@pytest.mark.parametrize("method", STAGES)
def test_what_runs_past_the_encoder_is_an_error(method: str, umt5: Text, trained: Trained) -> None:
    inner: Any = umt5.encoder.encoder
    inputs = umt5.inputs(PROMPTS)
    with erasers.attach(umt5.encoder, trained("umt5", method)) as handle:
        for around in (inner, umt5.encoder.forward, inner.forward):
            with torch.no_grad(), pytest.raises(EncoderError, match="outside its forward"):
                around(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        assert handle.forwards == handle.uses[0].rows == 0


def test_no_forward_at_all_is_no_success(umt5: Text, eraser: erasers.Eraser) -> None:
    """The caller must say how many prompts were to be encoded: a cached one never comes by."""
    with erasers.attach(umt5.encoder, eraser) as handle:
        (use,) = handle.uses
        assert (use.rows, use.score_before, use.score_after) == (0, None, None)
        with pytest.raises(EraserBypassed, match="applied to 0 prompts instead of 1"):
            handle.require(rows=1)
        umt5.encode(PROMPTS[1:])
        handle.require(rows=1)
        (use,) = handle.uses
        assert use.rows == 1
        assert use.score_before is not None
        umt5.encode(PROMPTS)
        with pytest.raises(EraserBypassed, match="applied to 3 prompts instead of 2"):
            handle.require(rows=2)


def test_an_eraser_of_the_negative_prompt_must_be_asked(umt5: Text) -> None:
    eraser = erasers.from_names(*umt5, PARACHUTE, method="negprompt")
    with erasers.attach(umt5.encoder, eraser) as handle:
        umt5.encode(PROMPTS[:1])
    with pytest.raises(EraserBypassed, match="applied to 0 negative prompts instead of 1"):
        handle.require(rows=1, negative_prompts=1)
    assert handle.uses[0].score_before is None
    handle.negative_prompt("blurry")
    handle.require(rows=1, negative_prompts=1)


def test_rows_without_real_tokens_and_rows_not_asked_for_are_not_counted(umt5: Text, eraser: erasers.Eraser) -> None:
    inputs = umt5.inputs([*PROMPTS, PROMPTS[0]])
    inputs["attention_mask"][2] = 0
    for rows, count in ((None, 2), ([1], 1)):
        with erasers.attach(umt5.encoder, eraser, rows=rows) as handle, torch.no_grad():
            umt5.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
        handle.require(rows=count)


def test_two_forwards_at_once_are_an_error(umt5: Text, eraser: erasers.Eraser) -> None:
    """The second forward's attention mask would decide which positions of the first are padding."""
    text = make_text("umt5")
    hook = text.encoder.encoder.block[0].register_forward_hook(lambda *_: text.encode(PROMPTS[:1]) and None)
    with erasers.attach(text.encoder, eraser), pytest.raises(EncoderError, match="give each thread its own encoder"):
        text.encode(PROMPTS)
    hook.remove()
    with erasers.attach(text.encoder, eraser) as handle:
        text.encode(PROMPTS)
    handle.require(rows=2)


@pytest.mark.parametrize("method", STAGES)
def test_an_offloaded_encoder_is_erased(method: str, umt5: Text, trained: Trained) -> None:
    """accelerate puts a function of its own in place of `forward`, in the encoder and in every part."""
    text, eraser = make_text("umt5"), trained("umt5", method)
    for module in text.encoder.modules():
        add_hook_to_module(module, AlignDevicesHook(execution_device="cpu", io_same_device=True))
    with erasers.attach(text.encoder, eraser) as handle:
        after = run(text.encoder, text)
        positional = text.encoder(*text.inputs(PROMPTS).values())[0].detach()
    torch.testing.assert_close(after, erased(umt5, eraser))
    torch.testing.assert_close(positional, after)
    handle.require(rows=4)


def test_the_mask_is_found_where_forward_takes_anything(umt5: Text, eraser: erasers.Eraser) -> None:
    text = make_text("umt5")
    original = text.encoder.forward
    text.encoder.forward = MethodType(lambda self, *args, **kwargs: original(*args, **kwargs), text.encoder)
    with erasers.attach(text.encoder, eraser):
        torch.testing.assert_close(run(text.encoder, text), erased(umt5, eraser))


@pytest.mark.parametrize("family", [family for family in FAMILIES if family != "mpnet"])  # transformers has none for MPNet
def test_gradient_checkpointing_is_erased(family: str, trained: Trained) -> None:
    text, eraser = make_text(family), trained(family, "project")
    inputs = text.inputs(PROMPTS)
    wanted = erased(text, eraser)
    for module in text.encoder.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
    text.encoder.activation_checkpointing_enable()
    text.encoder.train()
    with erasers.attach(text.encoder, eraser) as handle:
        after = text.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
    torch.testing.assert_close(after.detach(), wanted)
    handle.require(rows=2)
