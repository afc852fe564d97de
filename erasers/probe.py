"""A linear probe: logistic regression on standardised vectors, fitted by L-BFGS in double precision.

Answers how well a concept can be read off with a straight cut, and, along the same direction, how strongly it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-2
STEPS = 60


@dataclass(frozen=True, eq=False)
class LinearProbe:
    weight: Tensor
    """(d,)"""
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Logits of x (n, d): above 0 the concept is there."""
        return x.double() @ self.weight + self.bias

    def error(self, positive: Tensor, negative: Tensor) -> float:
        """Share misjudged, each side weighted alike; 0.5 is chance."""
        missed = (self(positive) <= 0).double().mean()
        imagined = (self(negative) > 0).double().mean()
        return round(float((missed + imagined) / 2), 4)


@torch.no_grad()
def fit_probe(positive: Tensor, negative: Tensor) -> LinearProbe:
    """From positive (n⁺, d) and negative (n⁻, d) vectors. Deterministic; sides of unequal size weigh the same."""
    x = torch.cat([positive, negative]).double()
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    z = (x - mean) / deviation
    target = torch.cat([torch.ones(len(positive)), torch.zeros(len(negative))]).to(z)
    importance = torch.where(target > 0, 0.5 / len(positive), 0.5 / len(negative))
    parameters = torch.zeros(x.shape[1] + 1, dtype=torch.double, device=x.device, requires_grad=True)
    optimiser = torch.optim.LBFGS([parameters], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        with torch.enable_grad():
            optimiser.zero_grad()
            logits = z @ parameters[:-1] + parameters[-1]
            nll = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, importance, reduction="sum")
            total = nll + RIDGE / 2 * parameters[:-1].square().sum()
            total.backward()
        return total

    optimiser.step(loss)
    weight = parameters.detach()[:-1] / deviation
    return LinearProbe(weight, parameters.detach()[-1] - mean @ weight)
