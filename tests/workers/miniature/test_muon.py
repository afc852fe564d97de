"""The optimiser is torch's own in another precision, and does what it is there for."""

from __future__ import annotations

import torch

from workers.miniature.muon import Muon, orthogonalised


def test_singular_values_come_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((3, 16, 16), (2, 8, 32), (2, 32, 8)):
        values = torch.linalg.svdvals(orthogonalised(torch.randn(shape, generator=generator)))
        assert float(values.quantile(0.2)) > 0.5
        assert float(values.max()) < 1.3


def test_it_steps_as_torchs_own() -> None:
    generator = torch.Generator().manual_seed(0)
    starts = [torch.randn(shape, generator=generator) for shape in ((12, 12), (8, 24), (24, 8), (12, 12))]
    ours, theirs = ([torch.nn.Parameter(start.clone()) for start in starts] for _ in range(2))
    mine = Muon(ours, lr=0.01, momentum=0.95, weight_decay=0.1)
    reference = torch.optim.Muon(theirs, lr=0.01, momentum=0.95, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        for one, other in zip(ours, theirs, strict=True):
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        mine.step()
        reference.step()
    for start, one, other in zip(starts, ours, theirs, strict=True):
        moved = (other - start).norm()
        assert (one - other).norm() < 0.03 * moved  # bfloat16 keeps two to three digits
        assert moved > 0
