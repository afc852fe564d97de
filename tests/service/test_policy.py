"""Joining what is asked for with what is mandatory: whatever is asked, the mandatory part stays."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from service.policy import Wish, merge

strengths = st.frozensets(st.none() | st.floats(0, 100), min_size=1, max_size=2)
wishes = st.builds(Wish, st.sampled_from("abcd"), st.none() | st.integers(1, 3), strengths)
sets = st.lists(wishes, max_size=4, unique_by=lambda wish: wish.concept)


@settings(max_examples=50, deadline=None)
@given(sets, sets)
def test_no_request_weakens_the_mandatory_set(requested: list[Wish], mandatory: list[Wish]) -> None:
    joined = {wish.concept: wish for wish in merge(requested, mandatory)}
    for must in mandatory:
        assert must.strengths <= joined[must.concept].strengths  # the greatest of them acts
        assert must.version in (None, joined[must.concept].version)
    assert set(joined) == {wish.concept for wish in [*requested, *mandatory]}


@settings(max_examples=50, deadline=None)
@given(sets, sets)
def test_joining_again_changes_nothing(requested: list[Wish], mandatory: list[Wish]) -> None:
    once = merge(requested, mandatory)
    assert merge(once, mandatory) == once


@settings(max_examples=50, deadline=None)
@given(sets, sets)
def test_order_does_not_matter(requested: list[Wish], mandatory: list[Wish]) -> None:
    assert merge(requested[::-1], mandatory[::-1]) == merge(requested, mandatory)


@settings(max_examples=50, deadline=None)
@given(sets)
def test_without_a_policy_the_request_stands(requested: list[Wish]) -> None:
    assert merge(requested, ()) == tuple(sorted(requested, key=lambda wish: wish.concept))
    assert merge((), requested) == merge(requested, ())


def test_a_stronger_request_is_granted() -> None:
    (joined,) = merge([Wish("a", None, frozenset({3.0}))], [Wish("a", 2, frozenset({None}))])
    assert (joined.version, joined.strengths) == (2, {3.0, None})
