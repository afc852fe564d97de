"""`python -m tests.benchmarks.stack [--d-model 192] [--features 250] [--tokens 32]`: what more erasers on one layer cost.

Compares one pair of matrix products for the whole stack (`erasers.fused`) with each eraser's own two, on the hidden states of
one prompt. Random tensors of the shapes that are served: only the time matters.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor

from erasers import fused
from erasers.methods.clear import Clear

COUNTS = (1, 8, 64, 256)


class _Stand:
    """As much of an eraser as `Fused` reads."""

    method, layer = fused.METHOD, 0

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        self.tensors = tensors
        self.config = SimpleNamespace(parameters={"activation": "relu"})


def tensors(d_model: int, features: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(features, d_model, generator=generator), dim=1)
    return {
        "W_enc": rows.T.contiguous(),
        "W_dec": rows,
        "b_enc": torch.zeros(features) - 1.0,
        "b_dec": torch.zeros(d_model),
        "m_spec": torch.rand(features, generator=generator),
    }


def milliseconds(run: Callable[[], object]) -> float:
    """Median of 20, after 3 that do not count."""
    taken = []
    for _ in range(23):
        started = time.perf_counter()
        run()
        taken.append(1000 * (time.perf_counter() - started))
    return sorted(taken[3:])[10]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--d-model", type=int, default=192)
    parser.add_argument("--features", type=int, default=250, help="of one compact eraser")
    parser.add_argument("--tokens", type=int, default=32)
    options = parser.parse_args()
    h = torch.randn(options.tokens, options.d_model, generator=torch.Generator().manual_seed(0))
    method, parameters = Clear(), {"activation": "relu"}
    sys.stdout.write(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {vars(options)}\n")
    sys.stdout.write(f"{'erasers':>8} {'fused, ms':>10} {'one by one, ms':>15} {'ratio':>6}\n")
    for count in COUNTS:
        parts = [tensors(options.d_model, options.features, seed) for seed in range(count)]
        together = fused.Fused([_Stand(part) for part in parts], h.device)
        gamma = torch.ones(1, count)

        def fused_step() -> None:
            specific = together.specific(h)  # noqa: B023
            together.delta(specific, together.scores(specific), gamma)  # noqa: B023

        quick = milliseconds(fused_step)
        slow = milliseconds(lambda: torch.stack([method.edit(part, parameters, h).v for part in parts]).sum(0))  # noqa: B023
        sys.stdout.write(f"{count:>8} {quick:>10.3f} {slow:>15.3f} {slow / quick:>6.1f}\n")


if __name__ == "__main__":
    main()
