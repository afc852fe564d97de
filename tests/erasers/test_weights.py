"""One fingerprint for one model, in whatever precision it is loaded."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import erasers
from erasers import encoders
from erasers.errors import EncoderError, EncoderMismatch
from tests.erasers.tiny import FAMILIES, PARACHUTE, Text, make_text

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LOST_IN_FLOAT16 = (1e-9, -3e-8, 5e-8, 7e-6, 2.0**-24 * 1.5)
"""Zero or rounded there; all but the last are rounded in bfloat16, too."""


@pytest.fixture(scope="module", params=FAMILIES)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Text, Path]:
    """Float32 weights of a kind each family has, some of them smaller than float16 can hold."""
    text = make_text(request.param)
    with torch.no_grad():
        next(text.encoder.parameters())[0, : len(LOST_IN_FLOAT16)] = torch.tensor(LOST_IN_FLOAT16)
    return text, save(text, tmp_path_factory.mktemp(request.param) / "text_encoder")


def load(text: Text, directory: Path, dtype: torch.dtype) -> Any:
    kind: Any = type(text.encoder)
    return kind.from_pretrained(directory, dtype=dtype).eval()


def save(text: Text, directory: Path) -> Path:
    encoder: Any = text.encoder
    encoder.save_pretrained(directory)
    return directory


def one_matrix(text_encoder: nn.Module) -> Tensor:
    weight: Tensor = encoders.attention_projection(text_encoder, 1).get_parameter("weight")
    return weight


def test_the_fingerprint_is_the_same_in_every_precision(saved: tuple[Text, Path]) -> None:
    text, directory = saved
    origin = encoders.fingerprint(text.encoder, text.tokenizer)
    for dtype in DTYPES:
        loaded = load(text, directory, dtype)
        assert loaded.dtype == dtype
        assert encoders.fingerprint(loaded, text.tokenizer) == origin, dtype
        for cast in DTYPES:
            if dtype != torch.float16 or cast == torch.float16:
                assert encoders.fingerprint(load(text, directory, dtype).to(cast), text.tokenizer) == origin, (dtype, cast)


def test_a_copy_saved_in_bfloat16_or_in_shards_has_the_same_fingerprint(saved: tuple[Text, Path], tmp_path: Path) -> None:
    text, directory = saved
    origin = encoders.fingerprint(text.encoder, text.tokenizer)
    load(text, directory, torch.bfloat16).save_pretrained(tmp_path / "copy", max_shard_size="20KB")
    assert len(list((tmp_path / "copy").glob("*.safetensors"))) > 1
    for dtype in DTYPES:
        assert encoders.fingerprint(load(text, tmp_path / "copy", dtype), text.tokenizer) == origin, dtype


def test_float16_weights_without_their_files_are_another_model(saved: tuple[Text, Path], tmp_path: Path) -> None:
    """The control of the tests above: what float16 lost cannot be had from the weights, and the error says what to do."""
    text, directory = saved
    eraser = erasers.train(text.encoder, text.tokenizer, erasers.pairs.templates(PARACHUTE, 40, 1), method="steering")
    half = load(text, Path(shutil.copytree(directory, tmp_path / "gone")), torch.float16)
    for tokenizer in (text.tokenizer, None):
        with erasers.attach(half, [eraser], tokenizer):
            pass
    shutil.rmtree(tmp_path / "gone")
    for tokenizer in (text.tokenizer, None):
        with (
            pytest.raises(EncoderMismatch, match="load the encoder it was made for in bfloat16 or float32, or from a directory"),
            erasers.attach(half, [eraser], tokenizer),
        ):
            pass


def test_files_are_not_believed_about_weights_that_were_changed_after_loading(saved: tuple[Text, Path]) -> None:
    text, directory = saved
    half = load(text, directory, torch.float16)
    before = encoders.weights_sha256(half)
    weight = one_matrix(half)
    with torch.no_grad():
        weight[0, 0] = torch.nextafter(weight[0, 0].float(), torch.tensor(9.0)) + 2.0**-6
    assert encoders.weights_sha256(half) != before


def test_a_difference_that_bfloat16_shows_is_another_model(saved: tuple[Text, Path]) -> None:
    text, directory = saved
    full = load(text, directory, torch.float32)
    before, weight = encoders.weights_sha256(full), one_matrix(full)
    with torch.no_grad():
        weight[0, 0] *= 1 + 2.0**-7
    assert encoders.weights_sha256(full) != before


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_beyond_float16_are_refused_in_float16_only(family: str, tmp_path: Path) -> None:
    text = make_text(family)
    with torch.no_grad():
        one_matrix(text.encoder)[0, 0] = 70_000.0
    save(text, tmp_path / "large")
    origin = encoders.weights_sha256(text.encoder)
    assert encoders.weights_sha256(load(text, tmp_path / "large", torch.bfloat16)) == origin
    with pytest.raises(EncoderError, match=r"float16\) has values that are not finite: float16 ends at 65,504; load the encoder"):
        encoders.fingerprint(load(text, tmp_path / "large", torch.float16), text.tokenizer)


def test_weights_that_are_not_finite_are_refused() -> None:
    twin = make_text("umt5")
    assert len(encoders.weights_sha256(twin.encoder)) == 64
    with torch.no_grad():
        one_matrix(twin.encoder)[0, 0] = torch.nan
    with pytest.raises(EncoderError, match=r"float32\) has values that are not finite$"):
        encoders.fingerprint(twin.encoder, twin.tokenizer)
