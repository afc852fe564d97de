"""A training that was killed goes on where it was, and ends with the same bytes.

One file, replaced atomically. It belongs to one training: same method, config, pairs, encoder and seed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from erasers.errors import CheckpointError


class Checkpoint:
    def __init__(self, directory: Path, identity: str, *, every: int) -> None:
        """`identity` is a digest of everything that decides the result; `every` is in steps."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / "training.pt"
        self.every = every
        self._identity = identity

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The last saved state, or None if there is none yet."""
        if not self.path.exists():
            return None
        try:
            content = torch.load(self.path, map_location=device, weights_only=True)
            identity: str = content["identity"]
            state: dict[str, Any] = content["state"]
        except Exception as error:  # torch has no closed set of them for a damaged file
            raise CheckpointError(f"{self.path} cannot be read ({error}); delete it to train from the start") from error
        if identity != self._identity:
            raise CheckpointError(f"{self.path} is of another training; use another checkpoint_dir, or delete it")
        return state

    def save(self, state: dict[str, Any]) -> None:
        partial = self.path.with_suffix(".partial")
        torch.save({"identity": self._identity, "state": state}, partial)
        os.replace(partial, self.path)
