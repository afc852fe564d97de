"""LEACE's theorem: afterwards no linear reader tells the sides apart, and nothing changes more than it must."""

from __future__ import annotations

import pytest
import torch

import erasers
from erasers.probe import fit_probe
from tests.erasers.tiny import D_MODEL, PARACHUTE, Text

COUNT = 400


@pytest.fixture(scope="module")
def planted() -> tuple[torch.Tensor, torch.Tensor]:
    """Positive and negative tokens (COUNT, D_MODEL), correlated in all dimensions, shifted along one direction."""
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(D_MODEL, D_MODEL, generator=generator)
    noise = torch.randn(2, COUNT, D_MODEL, generator=generator) @ mixing
    shift = torch.randn(D_MODEL, generator=generator) * 8
    return noise[0] + shift, noise[1]


def fitted(planted: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    from erasers.methods.steering import _leace

    positive, negative = (side.double() for side in planted)
    both = torch.cat([positive, negative])
    covariance = (both - both.mean(0)).T @ (both - both.mean(0)) / len(both)
    return _leace(positive.mean(0) - negative.mean(0), both.mean(0), covariance)


def test_no_linear_reader_is_left_and_one_was_there_before(planted: tuple[torch.Tensor, torch.Tensor]) -> None:
    tensors = fitted(planted)
    erased = [h - ((h - tensors["mean"]) @ tensors["reader"])[:, None] * tensors["direction"] for h in planted]
    assert fit_probe(*planted).error(*planted) < 0.05
    difference = (planted[0].mean(0) - planted[1].mean(0)).norm()
    assert (erased[0].mean(0) - erased[1].mean(0)).norm() < 1e-3 * difference, "the means of the sides coincide"
    assert fit_probe(*erased).error(*erased) > 0.4, "chance, on the very tokens that it was fitted to"


def test_an_orthogonal_projection_along_the_mean_difference_changes_more(planted: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Least squared change in the norm of the data's own covariance is what the oblique projection is for."""
    tensors = fitted(planted)
    both = torch.cat(planted)
    changed = ((both - tensors["mean"]) @ tensors["reader"])[:, None] * tensors["direction"]
    unit = planted[0].mean(0) - planted[1].mean(0)
    unit = unit / unit.norm()
    projected = ((both - both.mean(0)) @ unit)[:, None] * unit
    precision = torch.linalg.inv(torch.cov(both.T))

    def size(change: torch.Tensor) -> float:
        return float(((change @ precision) * change).sum(1).mean())

    assert size(changed) < size(projected)


def test_on_an_encoder_the_concept_is_illegible_at_its_layer(umt5: Text) -> None:
    pairs = erasers.pairs.templates(PARACHUTE, 120, 1)
    eraser = erasers.train(*umt5, pairs, method="steering", config={"mode": "leace", "layer": 1, "gamma": 1.0, "gamma_step": 1.0})
    assert set(eraser.tensors) == {"direction", "mean_negative", "reader", "mean"}
    assert eraser.config.parameters == {"mode": "leace"}
    h = torch.randn(6, D_MODEL, generator=torch.Generator().manual_seed(1))
    once = h - eraser.edit(h).v
    assert torch.allclose(eraser.edit(once).v, torch.zeros_like(h), atol=1e-4), "a projection: nothing is left for a second one"
