"""Erasers on encoders whose weights accelerate or diffusers keep elsewhere between two uses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import accelerate
import pytest
import torch
from diffusers.hooks import apply_group_offloading
from torch import nn

import erasers
from erasers import encoders, offload
from erasers.errors import EncoderError
from erasers.pairs import templates
from tests.erasers.tiny import FAMILIES, METHODS, PARACHUTE, Text, make_text

CPU = torch.device("cpu")
PROMPTS = ["a parachute near a vineyard", "a church"]
Offload = Callable[[Any, Path], object]


def _some_on_disk(encoder: nn.Module, directory: Path) -> None:
    where = {name: "cpu" for name, module in encoder.named_modules() if name and not list(module.children())}
    where |= {name: "disk" for name in where if ".1." in name or ".2." in name}
    accelerate.dispatch_model(encoder, where, main_device="cpu", offload_dir=directory, force_hooks=True)


KINDS: dict[str, Offload] = {
    "cpu_offload": lambda encoder, _: accelerate.cpu_offload(encoder, execution_device=CPU),
    "disk_offload": lambda encoder, directory: accelerate.disk_offload(encoder, str(directory), execution_device=CPU),
    "dispatch_model": _some_on_disk,
    "cpu_offload_with_hook": lambda encoder, _: accelerate.cpu_offload_with_hook(encoder, execution_device=CPU),
    "group offloading": lambda encoder, _: apply_group_offloading(encoder, onload_device=CPU, offload_type="leaf_level"),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_offloaded_encoder_has_its_fingerprint_and_is_edited(
    kind: str, family: str, trained: Callable[..., erasers.Eraser], texts: dict[str, Text], tmp_path: Path
) -> None:
    eraser, plain = trained(family, "project"), texts[family]
    with erasers.attach(plain.encoder, [eraser]):
        expected = plain.encode(PROMPTS)
    text = make_text(family)
    KINDS[kind](text.encoder, tmp_path)
    if kind in ("cpu_offload", "disk_offload", "dispatch_model"):
        assert any(weight.is_meta for weight in text.encoder.parameters()), "nothing is offloaded"
    assert encoders.fingerprint(text.encoder, text.tokenizer) == encoders.fingerprint(plain.encoder, plain.tokenizer)
    before = text.encode(PROMPTS)
    for tokenizer in (text.tokenizer, None):
        with erasers.attach(text.encoder, [eraser], tokenizer) as handle:
            assert torch.equal(text.encode(PROMPTS), expected)
        assert handle.uses[0].tokens_edited > 0
    assert torch.equal(text.encode(PROMPTS), before)
    assert not torch.equal(before, expected)


@pytest.mark.parametrize("method", ["clear", "project", "hirm"])
@pytest.mark.parametrize("kind", KINDS)
def test_training_on_an_offloaded_encoder_makes_the_same_eraser(
    kind: str, method: str, trained: Callable[..., erasers.Eraser], tmp_path: Path
) -> None:
    text = make_text("t5")
    KINDS[kind](text.encoder, tmp_path)
    name, config = METHODS[method]
    pairs = templates(PARACHUTE, 80, 1)
    eraser = erasers.train(text.encoder, text.tokenizer, pairs, method=name, config=cast(dict[str, Any], config))
    assert eraser.digest == trained("t5", method).digest


def test_weights_without_values_are_refused_with_the_cure(trained: Callable[..., erasers.Eraser]) -> None:
    text, known = make_text("umt5"), trained("umt5", "project")
    text.encoder.to("meta")
    for read in (lambda: encoders.fingerprint(text.encoder, text.tokenizer), lambda: attached(text, known)):
        with pytest.raises(EncoderError, match=r"on the meta device .* call `erasers.fingerprint` before offloading"):
            read()
    with pytest.raises(EncoderError, match="have no values"):
        offload.device(text.encoder)


def test_group_offloading_to_disk_is_refused_unless_the_fingerprint_is_known(
    trained: Callable[..., erasers.Eraser], tmp_path: Path
) -> None:
    text, eraser = make_text("clip"), trained("clip", "project")  # its weights are not tied, which diffusers cannot put on disk
    with erasers.attach(text.encoder, [eraser]):
        expected = text.encode(PROMPTS)
    fingerprint = encoders.fingerprint(text.encoder, text.tokenizer)
    apply_group_offloading(text.encoder, onload_device=CPU, offload_type="leaf_level", offload_to_disk_path=str(tmp_path))
    with pytest.raises(EncoderError, match=r"on disk by diffusers' group offloading; call `erasers.fingerprint` before"):
        attached(text, eraser)
    with erasers.attach(text.encoder, [eraser], fingerprint=fingerprint):
        assert torch.equal(text.encode(PROMPTS), expected)


def attached(text: Text, eraser: erasers.Eraser) -> None:
    with erasers.attach(text.encoder, [eraser]):
        pass
