from __future__ import annotations

import torch

from erasers.encoding import FlatStates
from erasers.evaluate.drift import drift
from erasers.probe import fit_probe


def sides(shift: float, n: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(2, n, 10, generator=generator)
    positive[:, 3] += shift
    return positive, negative


def test_a_probe_reads_what_is_there_and_not_what_is_not() -> None:
    for shift, low, high in ((8.0, 0.0, 0.01), (0.0, 0.35, 0.65)):
        positive, negative = sides(shift)
        probe = fit_probe(positive[:100], negative[:100])
        assert low <= probe.error(positive[100:], negative[100:]) <= high


def test_a_probe_finds_the_direction_and_ignores_scale() -> None:
    positive, negative = sides(4.0)
    probe = fit_probe(positive, negative)
    assert int(probe.weight.abs().argmax()) == 3
    scaled = fit_probe(positive * 1000 + 5, negative * 1000 + 5)
    torch.testing.assert_close(scaled(positive * 1000 + 5), probe(positive), rtol=1e-2, atol=1e-2)


def test_sides_of_unequal_size_weigh_the_same() -> None:
    positive, negative = sides(4.0, n=1000)
    error = fit_probe(positive[:20], negative).error(positive[20:], negative)
    assert error < 0.1


def test_drift_by_hand() -> None:
    prompt = torch.tensor([0, 0, 1])
    before = FlatStates(torch.tensor([[3.0, 0.0], [0.0, 4.0], [2.0, 0.0]]), prompt)
    after = FlatStates(torch.tensor([[3.0, 0.0], [3.0, 4.0], [2.0, 0.0]]), prompt)
    torch.testing.assert_close(drift(before, after), torch.tensor([0.6, 0.0]))
