from __future__ import annotations

from functools import partial

import pytest
import torch

from erasers.compact import compact, measured_change, quantile
from erasers.gate import fit_gate

D_MODEL, D_SAE = 8, 40


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    made = {
        "W_enc": torch.randn(D_MODEL, D_SAE, generator=generator),
        "W_dec": torch.nn.functional.normalize(torch.randn(D_SAE, D_MODEL, generator=generator), dim=1),
        "b_enc": torch.randn(D_SAE, generator=generator),
        "b_dec": torch.zeros(D_MODEL),
        "m_spec": torch.rand(D_SAE, generator=generator),
    }
    made["m_spec"][:10] = 0  # no part in the edit
    made["b_enc"][10:15] = -1000  # cannot fire
    made["m_spec"][15:20] *= 1e-6  # hardly any part
    return made


@pytest.fixture
def states() -> list[torch.Tensor]:
    return list(torch.randn(4, 50, D_MODEL, generator=torch.Generator().manual_seed(1)))


def test_what_cannot_act_is_dropped_exactly(tensors: dict[str, torch.Tensor], states: list[torch.Tensor]) -> None:
    kept, report = compact(tensors, states, length=length(tensors), gamma=2.0, tolerance=0.0, max_bytes=10**6)
    assert (report["dropped_exactly"], report["kept"], report["dropped_within_bound"]) == (15, 25, 0)
    assert report["bound_on_training_tokens"] == 0
    assert measured_change(partial(edit, tensors), partial(edit, kept), states, 2.0)["change_max"] < 1e-6


def test_what_acts_little_is_dropped_within_the_bound(tensors: dict[str, torch.Tensor], states: list[torch.Tensor]) -> None:
    kept, report = compact(tensors, states, length=length(tensors), gamma=2.0, tolerance=1e-3, max_bytes=10**6)
    assert (report["kept"], report["dropped_within_bound"]) == (20, 5)
    assert 0 < report["bound_on_training_tokens"] <= 1e-3
    full = [torch.cat(states) - 2 * v for v in (edit(tensors, torch.cat(states)), edit(kept, torch.cat(states)))]
    change = (full[0] - full[1]).norm(dim=1).max() / torch.cat(states).norm(dim=1).mean()
    assert 0 < float(change) <= report["bound_on_training_tokens"] + 1e-6
    assert report["bound_on_training_tokens"] < report["bound_in_ball"]


def test_the_bound_in_the_ball_holds_for_unseen_states(tensors: dict[str, torch.Tensor], states: list[torch.Tensor]) -> None:
    kept, report = compact(tensors, states, length=length(tensors), gamma=2.0, tolerance=0.05, max_bytes=10**6)
    generator = torch.Generator().manual_seed(2)
    unseen = torch.nn.functional.normalize(torch.randn(500, D_MODEL, generator=generator), dim=1) * report["ball_radius"]
    change = 2 * (edit(tensors, unseen) - edit(kept, unseen)).norm(dim=1).max()
    assert 0 < float(change) <= report["bound_in_ball"] * torch.cat(states).norm(dim=1).mean()


def test_it_fits_the_bytes_by_float16_and_then_by_dropping(tensors: dict[str, torch.Tensor], states: list[torch.Tensor]) -> None:
    for max_bytes, dtype in ((10**6, "float32"), (2200, "float16"), (1400, "float16")):
        kept, report = compact(tensors, states, length=length(tensors), gamma=1.0, tolerance=0.0, max_bytes=max_bytes)
        assert report["dtype"] == dtype
        assert 1024 + sum(t.numel() * t.element_size() for t in kept.values()) <= max_bytes
    assert report["dropped_within_bound"] > 0
    assert report["bound_on_training_tokens"] > report["tolerance"]
    assert measured_change(partial(edit, tensors), partial(edit, kept), states, 1.0)["change_max"] > 0.01


def length(tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return tensors["m_spec"] * tensors["W_dec"].norm(dim=1)


def edit(tensors: dict[str, torch.Tensor], h: torch.Tensor) -> torch.Tensor:
    f = torch.relu(h @ tensors["W_enc"].float() + tensors["b_enc"])
    return (f * tensors["m_spec"]) @ tensors["W_dec"].float()


def test_quantile_by_rank() -> None:
    assert float(quantile(torch.tensor([3.0, 1.0, 2.0]), 1.0)) == 3
    assert float(quantile(torch.arange(1000.0), 0.999)) == 998


@pytest.mark.parametrize(("rate", "allowed"), [(0.01, 0), (0.05, 1), (0.25, 5)])
def test_a_gate_lets_no_more_negatives_through_than_stated(rate: float, allowed: int) -> None:
    scores = torch.arange(20.0)
    gate = fit_gate(scores, scores + 100, false_positive_rate=rate, margin=0.0)
    assert int((scores >= gate.threshold).sum()) == allowed
    assert gate.false_positive_rate == rate


@pytest.mark.parametrize(
    ("positive", "threshold"),
    [
        (torch.arange(59.0, 159.0), 23.1),  # all but one reach 60, and no negative more than 19
        (torch.arange(10.0), 19.0),  # they are not apart
    ],
)
def test_a_gate_keeps_its_distance_where_there_is_room(positive: torch.Tensor, threshold: float) -> None:
    gate = fit_gate(torch.arange(20.0), positive, false_positive_rate=0.01, margin=0.1)
    assert gate.threshold == pytest.approx(threshold)
