"""Joining policies with each other and with what is asked for: whatever is asked, the mandatory part stays."""

from __future__ import annotations

from functools import partial
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from service.policies.policy import LimitName, Rules, Wish, join, merge, unite
from workers.contract import FallbackMethod

versions = st.frozensets(st.integers(1, 3), max_size=1)
strengths = st.frozensets(st.none() | st.floats(0, 100), min_size=1, max_size=2)
fallbacks = st.frozensets(st.sampled_from(get_args(FallbackMethod)), max_size=1)
wishes = st.builds(Wish, st.sampled_from("abcd"), versions, strengths, fallbacks)
requests = st.lists(wishes, max_size=4, unique_by=lambda wish: wish.concept)
sets = st.lists(wishes, max_size=6)  # of several policies: a concept may be there more than once
policies = st.builds(
    Rules,
    sets.map(tuple),
    sets.map(tuple),
    st.booleans(),
    st.none() | st.frozensets(st.sampled_from("xyz"), min_size=1),
    st.dictionaries(st.sampled_from(get_args(LimitName)), st.integers(1, 100)),
)
checked = partial(settings, max_examples=50, deadline=None)


def holds(must: Wish, joined: Wish) -> bool:
    """The greatest of the strengths acts, and what stands in is what all allow."""
    at_least = must.versions <= joined.versions and must.strengths <= joined.strengths
    return at_least and joined.fallbacks <= must.fallbacks


def at_least_as_strict(one: Rules, other: Rules) -> bool:
    """`one` demands all that `other` does, and allows no more."""
    stricter_models = other.models is None or (one.models is not None and one.models <= other.models)
    stricter_limits = all(one.limits.get(name, 101) <= most for name, most in other.limits.items())
    pairs = ((one.mandatory, other.mandatory), (one.defaults, other.defaults))
    demanded = all(
        any(must.concept == wish.concept and holds(must, wish) for wish in mine) for mine, yours in pairs for must in yours
    )
    return stricter_models and stricter_limits and demanded and (one.verify or not other.verify)


@checked()
@given(requests, sets)
def test_no_request_weakens_the_mandatory_set(requested: list[Wish], mandatory: list[Wish]) -> None:
    joined = {wish.concept: wish for wish in merge(requested, mandatory)}
    for must in mandatory:
        assert holds(must, joined[must.concept])
    assert set(joined) == {wish.concept for wish in [*requested, *mandatory]}


@checked()
@given(requests, sets)
def test_a_request_adds_no_version_to_a_mandatory_one(requested: list[Wish], mandatory: list[Wish]) -> None:
    joined = {wish.concept: wish for wish in merge(requested, mandatory)}
    for must in unite(mandatory):
        assert not must.versions or joined[must.concept].versions == must.versions


@checked()
@given(requests, sets, sets)
def test_a_larger_mandatory_set_takes_nothing_away(requested: list[Wish], mandatory: list[Wish], more: list[Wish]) -> None:
    joined = {wish.concept: wish for wish in merge(requested, [*mandatory, *more])}
    for wish in merge(requested, mandatory):
        assert wish.strengths <= joined[wish.concept].strengths


@checked()
@given(requests, sets)
def test_merging_again_changes_nothing(requested: list[Wish], mandatory: list[Wish]) -> None:
    once = merge(requested, mandatory)
    assert merge(once, mandatory) == once


@checked()
@given(requests, sets)
def test_order_does_not_matter(requested: list[Wish], mandatory: list[Wish]) -> None:
    assert merge(requested[::-1], mandatory[::-1]) == merge(requested, mandatory)


@checked()
@given(requests)
def test_without_a_policy_the_request_stands(requested: list[Wish]) -> None:
    assert merge(requested, ()) == tuple(sorted(requested, key=lambda wish: wish.concept))
    assert merge((), requested) == merge(requested, ())


def test_a_stronger_request_is_granted_and_another_version_is_not() -> None:
    pin = Wish("a", frozenset({2}), frozenset({None}))
    (joined,) = merge([Wish("a", frozenset({1}), frozenset({3.0}))], [pin])
    assert (joined.versions, joined.strengths) == ({2}, {3.0, None})


@checked()
@given(policies, policies, policies)
def test_policies_are_a_semilattice(a: Rules, b: Rules, c: Rules) -> None:
    assert join([a, b]) == join([b, a])
    assert join([a, join([b, c])]) == join([join([a, b]), c]) == join([a, b, c])
    assert join([a, a]) == join([a]) == join([join([a])])
    assert join([a, Rules()]) == join([a])


@checked()
@given(policies, policies, policies)
def test_another_policy_only_adds(a: Rules, b: Rules, c: Rules) -> None:
    assert at_least_as_strict(join([a, b]), a)
    assert at_least_as_strict(join([a, b, c]), join([a, c]))  # monotone, also beside others


@checked()
@given(requests, policies, policies)
def test_each_of_several_policies_holds_for_every_request(requested: list[Wish], a: Rules, b: Rules) -> None:
    joined = {wish.concept: wish for wish in merge(requested, join([a, b]).mandatory)}
    for must in (*a.mandatory, *b.mandatory):
        assert holds(must, joined[must.concept])


def test_the_probe_sees_what_is_weaker() -> None:
    """The negative control of the tests above."""
    strict = Rules(mandatory=(Wish("a", frozenset({1})),), models=frozenset("x"), limits={"width": 32})
    for weaker in (
        Rules(models=strict.models, limits=strict.limits),
        Rules(mandatory=(Wish("a"),), models=strict.models, limits=strict.limits),
        Rules(
            mandatory=(Wish("a", frozenset({1}), fallbacks=frozenset({"safree"})),), models=strict.models, limits=strict.limits
        ),
        Rules(mandatory=strict.mandatory, limits=strict.limits),
        Rules(mandatory=strict.mandatory, models=frozenset("xy"), limits=strict.limits),
        Rules(mandatory=strict.mandatory, models=strict.models, limits={"width": 33}),
    ):
        assert not at_least_as_strict(weaker, strict)
        assert at_least_as_strict(strict, weaker)
