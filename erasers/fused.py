"""Any number of CLEAR erasers on one layer, evaluated as one pair of matrix products.

Their features stand side by side, f = JumpReLU(h [W_enc¹ | W_enc² | …] + b), and so does what they write: rows of W_dec, each
times γ m f, and the directions of those that project, each times γ (u·f - u·f⁻)₊. This equals the sum of the single ones up to
the rounding of float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from erasers.eraser import Eraser
from erasers.sae import features

METHOD = "clear"
"""The method whose tensors these are."""


class Fused:
    """K features of E erasers. All on `device`, in float32."""

    def __init__(self, erasers: Sequence[Eraser], device: torch.device) -> None:
        """Raises ValueError for erasers of another method, or of more than one layer."""
        if {eraser.method for eraser in erasers} != {METHOD} or len({eraser.layer for eraser in erasers}) != 1:
            raise ValueError(f"only {METHOD} erasers of one layer can be fused, not {list(erasers)!r}")
        parts = [{name: tensor.to(device, torch.float32) for name, tensor in eraser.tensors.items()} for eraser in erasers]
        self._encode = {
            "W_enc": torch.cat([part["W_enc"] for part in parts], dim=1),
            "b_enc": torch.cat([part["b_enc"] for part in parts]),
        }
        if any("threshold" in part for part in parts):
            self._encode["threshold"] = torch.cat([part.get("threshold", torch.zeros_like(part["b_enc"])) for part in parts])
        self._weights = torch.cat([part["reader"] if "reader" in part else part["m_spec"] for part in parts])
        self._offsets = torch.tensor([float(one.config.parameters.get("offset", 0.0)) for one in erasers], device=device)
        self._sizes = [len(part["b_enc"]) for part in parts]
        owner = torch.repeat_interleave(torch.tensor(self._sizes)).to(device)
        projects = torch.tensor(["reader" in part for part in parts], device=device)
        self._projecting = projects.nonzero()[:, 0]
        self._masked = (~projects[owner]).nonzero()[:, 0] if len(self._projecting) else slice(None)  # which copies nothing
        self._owner = owner[self._masked]
        written = [part["W_dec"] for part in parts if "W_dec" in part]
        self._write = torch.cat([*written, *(part["direction"][None] for part in parts if "direction" in part)])

    def specific(self, h: Tensor) -> Tensor:
        """h (n, d_model), float32 → m ⊙ f (n, K), 0 or more; u ⊙ f of those that project."""
        return features(self._encode, h) * self._weights

    def scores(self, specific: Tensor) -> Tensor:
        """(n, E): Σ_i m_i f_i of each eraser; u·f - u·f⁻ of those that project."""
        return torch.stack([own.sum(1) for own in specific.split(self._sizes, dim=1)], dim=1) - self._offsets

    def delta(self, specific: Tensor, scores: Tensor, gamma: Tensor) -> Tensor:
        """Σ γ v (n, d_model), for the strengths gamma (n, E), or (1, E) where all tokens have the same."""
        masked = specific[:, self._masked] * gamma[:, self._owner]
        if not len(self._projecting):
            return masked @ self._write
        projected = torch.relu(scores[:, self._projecting]) * gamma[:, self._projecting]
        return torch.cat([masked, projected], dim=1) @ self._write
