from __future__ import annotations

import pytest
import torch
from torch import nn

from erasers import encoders
from erasers.errors import EncoderError, EncoderMismatch, HookTargetMissing
from tests.erasers.tiny import D_MODEL, LAYERS, Text, make_text


def test_finds_the_blocks_and_their_hidden_states(text: Text) -> None:
    found = encoders.blocks(text.encoder)
    assert len(found) == LAYERS
    outputs: list[object] = []
    handle = found[1].register_forward_hook(lambda module, args, output: outputs.append(output))
    text.encode(["a parachute near a vineyard"])
    handle.remove()
    h = encoders.hidden(outputs[0])
    assert h.shape == (1, 32, D_MODEL)
    replaced = encoders.with_hidden(outputs[0], h + 1)
    assert type(replaced) is type(outputs[0])
    assert torch.equal(encoders.hidden(replaced), h + 1)


def test_an_encoder_without_known_blocks_is_refused_with_near_misses() -> None:
    model = nn.Module()
    model.stages = nn.ModuleList([nn.Linear(2, 2)])
    with pytest.raises(HookTargetMissing, match="its module lists are stages"):
        encoders.blocks(model)


def test_a_block_beyond_the_last_is_refused(umt5: Text) -> None:
    with pytest.raises(HookTargetMissing, match="blocks 0 to 3, there is no block 4"):
        encoders.block(umt5.encoder, 4)


def test_an_output_without_a_tensor_is_refused() -> None:
    with pytest.raises(EncoderError, match="dict"):
        encoders.hidden({"h": 1})


def test_the_fingerprint_is_of_content_and_changes_with_every_part(text: Text) -> None:
    kind = type(text.encoder).__name__
    family = {
        "T5EncoderModel": "t5",
        "UMT5EncoderModel": "umt5",
        "CLIPTextModel": "clip",
        "BertModel": "bert",
        "MPNetModel": "mpnet",
    }[kind]
    origin = encoders.fingerprint(text.encoder, text.tokenizer)
    twin = make_text(family)
    assert encoders.fingerprint(twin.encoder, twin.tokenizer) == origin
    assert len(origin) == 64
    one_bit = next(iter(twin.encoder.parameters()))
    with torch.no_grad():
        one_bit.view(-1)[-1] *= 1 + 2.0**-7  # the last bit of bfloat16
    assert encoders.fingerprint(twin.encoder, twin.tokenizer) != origin
    other_type = make_text(family)
    other_type.encoder.to(torch.bfloat16)
    assert encoders.fingerprint(other_type.encoder, text.tokenizer) == origin
    other_words = make_text(family).tokenizer
    other_words.add_tokens(["parasail"])
    assert encoders.fingerprint(text.encoder, other_words) != origin


def test_a_known_fingerprint_spares_the_weights(umt5: Text) -> None:
    identity = encoders.identity(umt5.encoder, umt5.tokenizer)
    nothing = nn.Module()  # has no weights to read
    encoders.check_same(identity, nothing, None, identity.fingerprint)
    with pytest.raises(EncoderMismatch, match="000000000000…"):
        encoders.check_same(identity, umt5.encoder, umt5.tokenizer, "0" * 64)
