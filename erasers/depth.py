"""Where to erase: a preference over layers, sampled by Gumbel-softmax (Eq. 1)."""

from __future__ import annotations

import torch
from torch import Tensor


def temperature(t: int, iterations: int, *, start: float, end: float) -> float:
    """τ, linear from `start` at step 0 to `end` at the last."""  # Alg. 1, line 4
    return start - (start - end) * t / max(iterations - 1, 1)


def gumbel_noise(size: int, generator: torch.Generator) -> Tensor:
    """g ~ Gumbel(0, 1), on the CPU: the same numbers wherever the training runs."""
    uniform = torch.rand(size, generator=generator).clamp(1e-9, 1 - 1e-7)
    return -torch.log(-torch.log(uniform))


def sample(a: Tensor, tau: float, noise: Tensor) -> Tensor:
    """p (L,): one-hot in the forward pass, the gradient of the softmax in the backward pass (straight-through).

    `a` are logits, the log α of Eq. 1: Adam may take a logit anywhere, where it would drive an α below 0.
    """
    soft = torch.softmax((a + noise) / tau, dim=0)  # Eq. 1
    hard = torch.nn.functional.one_hot(soft.argmax(), len(a)).to(soft.dtype)
    return hard + soft - soft.detach()


def preference(a: Tensor, tau: float) -> list[float]:
    """p without noise, for the record: the curve of the paper's Figure 5."""
    return [round(p, 4) for p in torch.softmax(a.detach() / tau, dim=0).tolist()]
