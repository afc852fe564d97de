"""Any number of CLEAR erasers on one layer, evaluated as one pair of matrix products.

Their features stand side by side: f = JumpReLU(h [W_enc¹ | W_enc² | …] + b), Σ γ_e v_e = (γ ⊙ m ⊙ f) [W_dec¹ ; W_dec² ; …].
This equals the sum of the single ones up to the rounding of float32.
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
        sizes = [len(part["m_spec"]) for part in parts]
        self._encode = {
            "W_enc": torch.cat([part["W_enc"] for part in parts], dim=1),
            "b_enc": torch.cat([part["b_enc"] for part in parts]),
        }
        if any("threshold" in part for part in parts):
            self._encode["threshold"] = torch.cat([part.get("threshold", torch.zeros_like(part["b_enc"])) for part in parts])
        self._m_spec = torch.cat([part["m_spec"] for part in parts])
        self._W_dec = torch.cat([part["W_dec"] for part in parts])
        self._sizes = sizes
        self._owner = torch.repeat_interleave(torch.tensor(sizes)).to(device)

    def specific(self, h: Tensor) -> Tensor:
        """h (n, d_model), float32 → m ⊙ f (n, K), 0 or more."""
        return features(self._encode, h) * self._m_spec

    def scores(self, specific: Tensor) -> Tensor:
        """(n, E): Σ_i m_i f_i of each eraser."""
        return torch.stack([own.sum(1) for own in specific.split(self._sizes, dim=1)], dim=1)

    def delta(self, specific: Tensor, gamma: Tensor) -> Tensor:
        """Σ γ v (n, d_model), for the strengths gamma (n, E), or (1, E) where all tokens have the same."""
        return (specific * gamma[:, self._owner]) @ self._W_dec
