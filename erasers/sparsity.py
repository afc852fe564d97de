"""λ, the weight of the L1 term: fixed, or steered until a chosen share of the features fires."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

RATE = 0.02
"""Relative change of λ per step and e-fold of error."""
HORIZON_STEPS = 30
"""How far ahead the error is looked at. Features die slowly and stay dead: without foresight λ overshoots a thousandfold
and kills most of them before the share that fires has come down."""
SMOOTHING = 0.2
MINIMUM, MAXIMUM = 1e-6, 1e3


@dataclass
class Sparsity:
    weight: float
    """λ"""
    target_l0: float | None
    """Share of features that shall fire on a token; None leaves λ as it is."""
    l0: float = 1.0
    """The share that fired, averaged over recent steps."""

    def observe(self, f: Tensor) -> None:
        """f (n, d_sae) of this step."""
        before = self.l0
        self.l0 += SMOOTHING * ((f > 0).float().mean().item() - before)
        if self.target_l0 is not None:
            trend = _log(self.l0) - _log(before)
            error = _log(self.l0) + HORIZON_STEPS * trend - _log(self.target_l0)
            self.weight = min(max(self.weight * math.exp(RATE * error), MINIMUM), MAXIMUM)


def _log(share: float) -> float:
    return math.log(max(share, 1e-6))
