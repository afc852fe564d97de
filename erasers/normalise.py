"""Per-layer mean and RMS, so that one SAE can read every block.

The residual stream of T5 grows severalfold over its depth. Without this the shared SAE reconstructs the block with the
smallest norm best, and the search finds that one. What is removed here is folded into the SAE's weights after training.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from erasers.cache import ActivationCache


@dataclass(frozen=True, eq=False)
class Normalisation:
    mean: Tensor
    """(L, d_model)"""
    scale: Tensor
    """(L,): RMS over tokens and dimensions of what remains."""

    @classmethod
    def identity(cls, layers: int, d_model: int, device: torch.device) -> Normalisation:
        return cls(torch.zeros(layers, d_model, device=device), torch.ones(layers, device=device))

    @classmethod
    def of(cls, cache: ActivationCache, rows: Tensor) -> Normalisation:
        positions, _ = cache.tokens(rows)
        means, scales = [], []
        for layer in range(cache.layers):
            h = cache.layer(layer, positions)
            means.append(h.mean(0))
            scales.append((h - means[-1]).square().mean().sqrt().clamp_min(torch.finfo(torch.float32).tiny))
        return cls(torch.stack(means), torch.stack(scales))

    def all_layers(self, h: Tensor) -> Tensor:
        """h (L, n, d_model)"""
        return (h - self.mean[:, None]) / self.scale[:, None, None]

    def layer(self, layer: int, h: Tensor) -> Tensor:
        """h (n, d_model)"""
        return (h - self.mean[layer]) / self.scale[layer]
