from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from erasers import masks

F_POS = torch.tensor([4.0, 1.0, 0.0, 2.0])
F_NEG = torch.tensor([1.0, 2.0, 0.0, 0.0])


def test_paper_mask_by_hand() -> None:
    torch.testing.assert_close(masks.paper(F_NEG), torch.tensor([0.5, 0.0, 1.0, 1.0]))


def test_ratio_mask_by_hand() -> None:
    torch.testing.assert_close(masks.ratio(F_POS, F_NEG), torch.tensor([0.75, 0.0, 0.0, 1.0]))


def test_contrast_mask_by_hand() -> None:
    torch.testing.assert_close(masks.contrast(F_POS, F_NEG), torch.tensor([0.6, 0.0, 0.0, 1.0]))


def test_p999_is_not_ruled_by_one_outlier() -> None:
    f_neg = torch.cat([torch.full((2000,), 2.0), torch.tensor([2000.0])])
    assert masks.paper(f_neg, "max")[0] > 0.99
    assert masks.paper(f_neg, "p999")[0] == pytest.approx(0.0, abs=1e-6)


def test_separation_by_hand() -> None:
    f = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    m_spec = torch.tensor([1.0, 0.5])
    s_spe, s_uni = 1 + 3 + 0.5 * 6, 0.5 * 6
    assert float(masks.separation(f, m_spec)) == pytest.approx(math.log(1 + s_uni / s_spe))


def test_separation_is_small_where_the_concept_stands_apart() -> None:
    f = torch.tensor([[1.0, 1.0]])
    apart, entangled = torch.tensor([1.0, 0.9]), torch.tensor([0.1, 0.1])
    assert masks.separation(f, apart) < masks.separation(f, entangled)


@given(
    kind=st.sampled_from(["paper", "ratio", "contrast"]),
    values=st.lists(st.tuples(st.floats(0, 1e4, width=32), st.floats(0, 1e4, width=32)), min_size=2, max_size=20),
)
def test_every_mask_is_within_0_and_1(kind: masks.MaskKind, values: list[tuple[float, float]]) -> None:
    f_pos, f_neg = torch.tensor(values).T
    m_spec = masks.specificity(kind, f_pos, f_neg)
    assert bool(((m_spec >= 0) & (m_spec <= 1)).all())


def test_statistics_of_a_mask_that_discriminates() -> None:
    report = masks.statistics(torch.tensor([1.0, 0.0, 0.0, 1.0]), F_POS, F_NEG)
    assert report["energy_positive"] == pytest.approx(6 / 7, abs=1e-4)
    assert report["energy_negative"] == pytest.approx(1 / 3, abs=1e-4)
