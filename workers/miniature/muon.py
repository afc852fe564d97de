"""Muon for small matrices on a CPU: momentum, orthogonalised by Newton–Schulz iterations (Jordan et al., 2024).

The same update as `torch.optim.Muon(adjust_lr_fn="match_rms_adamw")`, which a test holds it to. That one computes in
bfloat16, matrix by matrix; here float32 is twice as fast as bfloat16, and matrices of one shape go through together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic that pushes singular values towards 1
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """For 2-d parameters. Nesterov momentum; decoupled weight decay; updates have the size that AdamW's have."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float = 0.95, weight_decay: float = 0.01) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                updates = orthogonalised(torch.stack([self._momentum(parameter, group["momentum"]) for parameter in parameters]))
                size = 0.2 * max(shape) ** 0.5
                for parameter, update in zip(parameters, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"] * size)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None  # noqa: S101 `step` left those out
        buffer: Tensor = state.setdefault("momentum_buffer", torch.zeros_like(gradient))
        buffer.lerp_(gradient, 1 - momentum)
        return gradient.lerp(buffer, momentum)


def orthogonalised(matrices: Tensor) -> Tensor:
    """(N, m, n) → the same, singular values brought near 1."""
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram: Tensor = x @ x.mT
        x = _A * x + (_B * gram + _C * gram @ gram) @ x
    return x.mT if tall else x
