"""What policies come to, together and with what a request asks for. Pure: who is bound by which is `binding`'s.

`join` is commutative, associative and idempotent, and it only grows: another policy adds erasers, makes them stronger, has
frames looked at, and takes models and sizes away. `merge` is monotone in the mandatory set: no request can weaken a policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from workers.contract import FallbackMethod

LimitName = Literal["width", "height", "num_frames", "num_inference_steps"]


@dataclass(frozen=True)
class Wish:
    """One concept to erase. Without a version the active one acts. A wish for several versions is that of policies which
    contradict each other: nothing fulfils it. Of several strengths the greatest, None being the eraser's own, which only
    the registry knows; with `enough` at least the smallest that was measured to erase the concept. Where no eraser is active
    one of `fallbacks` may stand in, which all who wish for the concept must allow: none may, unless somebody says so."""

    concept: str
    versions: frozenset[int] = frozenset()
    strengths: frozenset[float | None] = frozenset({None})
    fallbacks: frozenset[FallbackMethod] = frozenset()
    enough: bool = False


@dataclass(frozen=True)
class Rules:
    """What one policy says, or several together."""

    mandatory: tuple[Wish, ...] = ()
    defaults: tuple[Wish, ...] = ()  # where a request does not say what to erase
    verify: bool = False
    models: frozenset[str] | None = None  # None: all
    limits: Mapping[LimitName, int] = field(default_factory=dict)
    max_strength_multiple: float | None = None  # None: nobody says


def join(policies: Iterable[Rules]) -> Rules:
    """All of them at once: each holds whatever the others say."""
    every = tuple(policies)
    limits: dict[LimitName, int] = {}
    for rules in every:
        for name, most in rules.limits.items():
            limits[name] = min(most, limits.get(name, most))
    allowed = [rules.models for rules in every if rules.models is not None]
    return Rules(
        mandatory=unite(wish for rules in every for wish in rules.mandatory),
        defaults=unite(wish for rules in every for wish in rules.defaults),
        verify=any(rules.verify for rules in every),
        models=frozenset.intersection(*allowed) if allowed else None,
        limits=limits,
        max_strength_multiple=min(
            (rules.max_strength_multiple for rules in every if rules.max_strength_multiple is not None), default=None
        ),
    )


def unite(wishes: Iterable[Wish]) -> tuple[Wish, ...]:
    """One wish per concept, in the order of names, in which each of them is."""
    united: dict[str, Wish] = {}
    for wish in wishes:
        other = united.get(wish.concept, wish)
        united[wish.concept] = Wish(
            wish.concept,
            wish.versions | other.versions,
            wish.strengths | other.strengths,
            wish.fallbacks & other.fallbacks,
            wish.enough or other.enough,
        )
    return tuple(united[concept] for concept in sorted(united))


def merge(requested: Iterable[Wish], mandatory: Iterable[Wish]) -> tuple[Wish, ...]:
    """One wish per concept, in the order of names. A mandatory version holds against a requested one; a fallback needs both."""
    joined = {wish.concept: wish for wish in unite(requested)}
    for must in unite(mandatory):
        asked = joined.get(must.concept, must)
        joined[must.concept] = Wish(
            must.concept,
            must.versions or asked.versions,
            must.strengths | asked.strengths,
            must.fallbacks & asked.fallbacks,
            must.enough or asked.enough,
        )
    return tuple(joined[concept] for concept in sorted(joined))
