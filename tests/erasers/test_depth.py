from __future__ import annotations

import pytest
import torch

from erasers import depth


def test_temperature_is_linear_from_start_to_end() -> None:
    taus = [depth.temperature(t, 11, start=1.0, end=0.1) for t in range(11)]
    assert taus[0] == 1.0
    assert taus[-1] == pytest.approx(0.1)
    assert taus[5] == pytest.approx(0.55)


def test_a_sample_is_one_hot_with_the_softmax_gradient() -> None:
    a = torch.tensor([0.3, 1.0, -0.5], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 0.5])
    p = depth.sample(a, 0.7, torch.zeros(3))
    assert p.detach().tolist() == pytest.approx([0, 1, 0], abs=1e-6)
    (p @ weights).backward()
    soft = torch.tensor([0.3, 1.0, -0.5], requires_grad=True)
    (torch.softmax(soft / 0.7, 0) @ weights).backward()
    torch.testing.assert_close(a.grad, soft.grad)


def test_samples_follow_the_preference() -> None:
    """The Gumbel-max theorem: argmax(a + g) is distributed as softmax(a), whatever the temperature."""
    a, generator = torch.log(torch.tensor([0.1, 0.2, 0.7])), torch.Generator().manual_seed(0)
    drawn = torch.stack([depth.sample(a, 0.3, depth.gumbel_noise(3, generator)) for _ in range(4000)]).mean(0)
    torch.testing.assert_close(drawn, torch.tensor([0.1, 0.2, 0.7]), atol=0.03, rtol=0)
