"""A training that was killed goes on where it was, and ends with the same bytes.

One safetensors file, replaced atomically; what is not a tensor lies in its header as JSON. It belongs to one training: same
method, config, pairs, encoder and seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from erasers.errors import CheckpointError


class Checkpoint:
    def __init__(self, directory: Path, identity: str, *, every: int) -> None:
        """`identity` is a digest of everything that decides the result; `every` is in steps."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "training.safetensors"
        self.every = every
        self._identity = identity

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last saved state, or None if there is none yet."""
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt", device=str(device)) as file:
                header: dict[str, str] = file.metadata() or {}
                identity, skeleton = header["identity"], json.loads(header["state"])
                state: dict[str, Any] = _unpack(skeleton, {name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise CheckpointError(f"{self.path} cannot be read ({error}); delete it to train from the start") from error
        if identity != self._identity:
            raise CheckpointError(f"{self.path} is of another training; use another checkpoint_dir, or delete it")
        return state

    def save(self, state: dict[str, Any]) -> None:
        tensors: dict[str, Tensor] = {}
        header = {"identity": self._identity, "state": json.dumps(_pack(state, tensors))}
        partial = self.path.with_suffix(".partial")
        save_file(tensors, partial, header)
        os.replace(partial, self.path)


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """JSON in the shape of `value`. Tensors go to `tensors`, under numbers; mappings keep keys that are not strings."""
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().contiguous()
            return {"tensor": name}
        case Mapping():
            return {"mapping": [[key, _pack(part, tensors)] for key, part in value.items()]}
        case list() | tuple():
            return {"list": [_pack(part, tensors) for part in value]}
        case _:
            return value


def _unpack(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    match value:
        case {"tensor": name}:
            return tensors[name]
        case {"mapping": items}:
            return {key: _unpack(part, tensors) for key, part in items}
        case {"list": parts}:
            return [_unpack(part, tensors) for part in parts]
        case _:
            return value
