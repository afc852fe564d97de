"""The rule from two scores and a reference to a verdict."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasers.verdict import VERDICTS, Verdict, verdict_of

scores = st.floats(-3, 3)
references = st.floats(-1, 0.99)


@pytest.mark.parametrize(
    ("before", "after", "named", "verdict"),
    [
        (0.05, 0.02, False, "not_present"),
        (0.05, 0.02, True, "removed"),  # a prompt that names the concept contains it, whatever it scores
        (1.0, 0.1, False, "removed"),
        (1.0, 0.4, False, "removed"),  # at the reference
        (1.0, 0.7, False, "reduced"),  # half of what was above it
        (1.0, 0.71, False, "not_reduced"),
        (0.9, 0.9, True, "not_reduced"),  # a fallback that did nothing
        (1.0, 1.5, False, "not_reduced"),
        (0.1, 0.6, False, "not_reduced"),  # another eraser put it there
        (0.1, 0.6, True, "not_reduced"),
        (math.nan, 0.1, False, "removed"),
        (1.0, math.nan, False, "not_reduced"),
        (math.nan, math.nan, False, "not_reduced"),
    ],
)
def test_the_rule(before: float, after: float, named: bool, verdict: Verdict) -> None:
    assert verdict_of(before, after, absent_below=0.4, named=named) == verdict


@given(scores, scores, scores, references, st.booleans())
def test_a_higher_score_after_is_never_a_better_verdict(
    before: float, low: float, high: float, absent_below: float, named: bool
) -> None:
    low, high = sorted((low, high))
    better, worse = (verdict_of(before, after, absent_below=absent_below, named=named) for after in (low, high))
    assert VERDICTS.index(better) <= VERDICTS.index(worse)


@given(scores, scores, references)
def test_nothing_above_the_reference_counts_as_gone(before: float, after: float, absent_below: float) -> None:
    gone = verdict_of(before, after, absent_below=absent_below) in ("not_present", "removed")
    assert gone == (after <= absent_below)
