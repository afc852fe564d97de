from __future__ import annotations

from pathlib import Path

import pytest
import torch

from erasers import cache, encoders
from erasers.encoding import PromptEncoder, max_by_prompt, mean_by_prompt
from erasers.errors import ConfigError, PromptTooLong
from erasers.hooks import RealTokens, recording_blocks
from tests.erasers.tiny import LAYERS, Text

PROMPTS = ["a parachute near a frozen lake", "a vineyard", "a clip of a teapot beside a stone bridge, motion blur", "a vineyard"]


def test_holds_what_each_block_says_of_real_tokens(text: Text) -> None:
    """Against one prompt at a time, without padding."""
    built = cache.build(PromptEncoder(text.encoder, text.tokenizer), PROMPTS)
    assert len(built.prompts) == 3, "a prompt that occurs twice is encoded once"
    bos = int(encoders.leads_with_bos(text.encoder))
    for prompt in PROMPTS:
        with recording_blocks(text.encoder) as recorded, torch.no_grad():
            inputs = text.tokenizer([prompt], return_tensors="pt")
            final = text.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
        positions, of_prompt = built.tokens(built.rows([prompt]))
        assert set(of_prompt.tolist()) == {0}
        assert len(recorded) == LAYERS
        wanted = torch.stack(recorded)[:, 0, bos:]
        torch.testing.assert_close(built.all_layers(positions), wanted, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(built.layer(2, positions), wanted[2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(built.pooled(2, built.rows([prompt]))[0], wanted[2].mean(0), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(built.final[built.rows([prompt])][0], final[0, bos:].mean(0), rtol=1e-4, atol=1e-4)


def test_every_prompt_is_encoded_once(umt5: Text) -> None:
    encoded = 0

    def count(module: object, args: object, kwargs: dict[str, torch.Tensor]) -> None:
        nonlocal encoded
        encoded += len(kwargs["input_ids"])

    handle = umt5.encoder.register_forward_pre_hook(count, with_kwargs=True)
    cache.build(PromptEncoder(umt5.encoder, umt5.tokenizer), PROMPTS * 3)
    handle.remove()
    assert encoded == 3


def test_memory_mapped_beyond_the_budget_with_the_same_content(umt5: Text, tmp_path: Path) -> None:
    encoder = PromptEncoder(umt5.encoder, umt5.tokenizer)
    in_memory = cache.build(encoder, PROMPTS)
    mapped = cache.build(encoder, PROMPTS, budget_bytes=0, directory=tmp_path)
    assert torch.equal(in_memory.states, mapped.states)
    assert list(tmp_path.iterdir()) == [], "the file is unlinked; only the mapping keeps it"


def test_attended_padding_is_seen_but_not_stored(umt5: Text) -> None:
    """As CogVideoX calls its encoder: padded to a length, without a mask."""
    masked = cache.build(PromptEncoder(umt5.encoder, umt5.tokenizer), PROMPTS)
    attended = cache.build(PromptEncoder(umt5.encoder, umt5.tokenizer, max_length=32, padding="attended"), PROMPTS)
    assert attended.states.shape == masked.states.shape
    assert not torch.allclose(attended.states, masked.states, atol=1e-3)
    ids = umt5.inputs([PROMPTS[0]], 32)["input_ids"]
    with recording_blocks(umt5.encoder) as recorded, torch.no_grad():
        umt5.encoder(input_ids=ids)
    positions, _ = attended.tokens(attended.rows([PROMPTS[0]]))
    torch.testing.assert_close(attended.layer(0, positions), recorded[0][0, : len(positions)], rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="needs max_length"):
        PromptEncoder(umt5.encoder, umt5.tokenizer, padding="attended")


def test_a_prompt_that_is_too_long_is_refused_not_cut(umt5: Text) -> None:
    with pytest.raises(PromptTooLong, match="at most 4 fit: 'a parachute near a frozen lake'"):
        cache.build(PromptEncoder(umt5.encoder, umt5.tokenizer, max_length=4), PROMPTS)


def test_reductions_by_hand() -> None:
    values, prompt = torch.tensor([[1.0, 5.0], [3.0, 1.0], [7.0, 7.0]]), torch.tensor([0, 0, 1])
    assert mean_by_prompt(values, prompt).tolist() == [[2, 3], [7, 7]]
    assert max_by_prompt(values, prompt).tolist() == [[3, 5], [7, 7]]
    assert max_by_prompt(values[:, 0], prompt).tolist() == [3, 7]


def test_real_tokens_are_read_however_the_mask_is_passed(text: Text) -> None:
    reader, inputs = RealTokens(text.encoder), text.inputs(PROMPTS)
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    h = torch.zeros(*ids.shape, 2)
    wanted = mask.bool()
    everything = torch.ones_like(wanted)
    if encoders.leads_with_bos(text.encoder):
        wanted[:, 0] = everything[:, 0] = False
    for args, kwargs, expected in (
        ((ids, mask), {}, wanted),
        ((ids,), {"attention_mask": mask}, wanted),
        ((), {"input_ids": ids, "attention_mask": mask.float()}, wanted),
        ((ids,), {}, everything),
        ((ids, None), {}, everything),
    ):
        reader.begin(text.encoder, args, kwargs)
        assert torch.equal(reader.of(h), expected)
        reader.end(text.encoder, args, None)
