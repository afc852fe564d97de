"""The sha256 of an encoder's weights: one for one model, in whatever precision it was loaded.

Each weight is rounded to bfloat16 and hashed. Weights that are held in float32 or bfloat16 give the same bytes. float16
does not: it loses values smaller than 6e-8 and rounds twice, and no function of the remaining values can undo that. So
for a weight held in a narrower dtype, the value is read from the safetensors files of the directory that the encoder was
loaded from, and counts only if it becomes exactly the weight in memory when it is cast. A weight that no file explains (the
directory is gone, or the weight was changed after loading) is hashed as it is held.

Two encoders whose weights are equal after rounding to bfloat16 have one digest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from erasers import offload
from erasers.errors import EncoderError

_HASHED = torch.bfloat16
_ROUND_TO_HASHED = (torch.float64, torch.float32, torch.bfloat16)
"""Dtypes in which a model's weights still round to the same bfloat16 values as those in its files."""

_PIECE = 2**24
"""Elements that are converted at once."""

_THREADS = 8
"""Weights that are hashed at once."""


def sha256(text_encoder: nn.Module, architecture: list[Any]) -> str:
    """64 hexadecimal digits over the architecture and every weight's name, shape and values, in the order of names.

    Raises EncoderError for a weight that is not finite (in float16, for example, one that was larger than 65,504), or whose
    values are offloaded to where they cannot be read.
    """
    total = hashlib.sha256(json.dumps(architecture).encode())
    files = _Files(text_encoder)
    # A block that `torch.compile` wraps has the names of the block, with a prefix.
    weights = sorted((name.replace("_orig_mod.", ""), weight) for name, weight in offload.weights(text_encoder).items())
    if packed := [name for name, weight in weights if not isinstance(weight, Tensor)]:
        raise EncoderError(
            f"weights of {type(text_encoder).__name__} are packed ({packed[0]!r}), and no eraser can be compared with them; "
            "give the fingerprint of the encoder that they were quantised from"
        )
    distinct: dict[tuple[int, torch.dtype, torch.Size], tuple[str, Tensor]] = {}  # tied weights are hashed once
    for name, weight in weights:
        distinct.setdefault(_storage(weight), (name, weight))
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:  # hashlib lets go of the interpreter
        contents = dict(zip(distinct, pool.map(lambda one: _content(one[0], one[1], files), distinct.values()), strict=True))
    for name, weight in weights:
        total.update(json.dumps([name, list(weight.shape)]).encode() + contents[_storage(weight)])
    return total.hexdigest()


def _storage(weight: Tensor) -> tuple[int, torch.dtype, torch.Size]:
    return weight.data_ptr(), weight.dtype, weight.shape


def lost_precision(text_encoder: nn.Module) -> bool:
    """Whether a weight is held in a dtype from which the digest needs the files that the encoder was loaded from."""
    return any(_is_narrow(weight) for weight in text_encoder.state_dict().values())


class _Files:
    """The safetensors files that an encoder was loaded from, as transformers recorded it. None if they are not on this disk."""

    def __init__(self, text_encoder: nn.Module) -> None:
        recorded = getattr(text_encoder, "name_or_path", None)
        directory = Path(recorded) if isinstance(recorded, str) and recorded else None
        self._paths = sorted(directory.glob("*.safetensors")) if directory is not None and directory.is_dir() else []

    def origin_of(self, name: str, weight: Tensor) -> Tensor | None:
        """The value that became `weight` by being cast, if a file has it under this name, or under any for its shape."""
        for by_name in (True, False):  # tied weights are stored once, under one of their names
            for path in self._paths:
                for stored in _stored(path, name if by_name else None, weight.shape):
                    if _became(stored, weight):
                        return stored
        return None


def _stored(path: Path, name: str | None, shape: torch.Size) -> Iterator[Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys() if name is None else {name} & set(file.keys()):
                if file.get_slice(key).get_shape() == list(shape):
                    yield file.get_tensor(key)
    except (OSError, SafetensorError):  # gone or damaged since it was loaded: it explains nothing
        return


def _became(stored: Tensor, weight: Tensor) -> bool:
    """Whether `weight` is `stored` cast to its dtype, directly or by way of bfloat16."""
    if not stored.is_floating_point():
        return False
    return any(
        all(
            _same(piece.to(via).to(held.dtype), held.cpu())
            for piece, held in zip(_pieces(stored), _pieces(weight), strict=True)
        )
        for via in (stored.dtype, _HASHED)
    )


def _same(one: Tensor, other: Tensor) -> bool:
    return torch.equal(one.float(), other.float())  # float8 has no comparison of its own


def _content(name: str, weight: Tensor, files: _Files) -> bytes:
    content = hashlib.sha256()
    if not weight.is_floating_point():
        content.update(json.dumps(str(weight.dtype)).encode())
        content.update(_bytes(weight.detach().reshape(-1)))
        return content.digest()
    for piece in _pieces(weight):
        if not torch.isfinite(piece.float()).all():
            raise EncoderError(
                f"weight {name!r} ({str(weight.dtype).removeprefix('torch.')}) has values that are not finite"
                + (": float16 ends at 65,504; load the encoder in bfloat16 or float32" if _is_narrow(weight) else "")
            )
    origin = files.origin_of(name, weight) if _is_narrow(weight) else None
    for piece in _pieces(weight if origin is None else origin):
        content.update(_bytes(piece.float().to(_HASHED)))
    return content.digest()


def _is_narrow(weight: Tensor) -> bool:
    return weight.is_floating_point() and weight.dtype not in _ROUND_TO_HASHED


def _pieces(weight: Tensor) -> tuple[Tensor, ...]:
    return tuple(weight.detach().reshape(-1).split(_PIECE))


def _bytes(flat: Tensor) -> memoryview:
    return flat.contiguous().cpu().view(torch.uint8).numpy().data
