"""Which policies bind a key, and what they come to for its requests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

from sqlalchemy.orm import Session

from service.policies.policy import LimitName, Rules, Wish, join
from service.schemas.generations import AppliedPolicy, EraseItem, OnMissing
from service.schemas.policies import PolicyRules
from service.store import policies
from service.store.models import PolicyVersion


@dataclass(frozen=True)
class InForce:
    name: str
    version: int
    rules: Rules


@dataclass(frozen=True)
class Binding:
    """The policies of one key, at one moment."""

    policies: tuple[InForce, ...]  # by name

    @cached_property
    def rules(self) -> Rules:
        return join(policy.rules for policy in self.policies)

    @property
    def applied(self) -> list[AppliedPolicy]:
        return [AppliedPolicy(name=policy.name, version=policy.version) for policy in self.policies]

    def whose(self, says: Callable[[Rules], bool]) -> str:
        """Those that say so, for a message."""
        return _named((policy.name, policy.version) for policy in self.policies if says(policy.rules))


def binding_of(session: Session, key_id: str) -> Binding:
    rows = [(row, PolicyRules.model_validate(row.rules)) for row in policies.in_force(session)]
    bound = [(row, rules) for row, rules in rows if rules.keys is None or key_id in rules.keys]
    return Binding(tuple(InForce(row.name, row.version, _rules(rules)) for row, rules in bound))


def needing(session: Session, concept: str, versions: Collection[int | None]) -> str:
    """The policies in force that ask for one of these versions of a concept's eraser, for a message; empty where none does.
    None: whichever is active."""
    return _named((row.name, row.version) for row in policies.in_force(session) if _asks(row, concept, versions))


def naming(session: Session, concept: str) -> str:
    """The policies in force that ask for a concept's eraser, in whatever version, for a message; empty where none does."""
    return _named((row.name, row.version) for row in policies.in_force(session) if _asks(row, concept, None))


def _asks(row: PolicyVersion, concept: str, versions: Collection[int | None] | None) -> bool:
    rules = PolicyRules.model_validate(row.rules)
    asked = [item for item in (*rules.mandatory, *rules.defaults) if item.concept == concept]
    return any(versions is None or item.version in versions for item in asked)


def _rules(rules: PolicyRules) -> Rules:
    limits = ((name, getattr(rules.limits, name)) for name in get_args(LimitName))
    enough = rules.strength_override_reason is None
    return Rules(
        mandatory=tuple(wish_of(item, rules.on_missing, enough=enough) for item in rules.mandatory),
        defaults=tuple(wish_of(item, rules.on_missing, enough=enough) for item in rules.defaults),
        verify=rules.verify,
        models=None if rules.models is None else frozenset(rules.models),
        limits={name: most for name, most in limits if most is not None},
        max_strength_multiple=rules.max_strength_multiple,
    )


def wish_of(item: EraseItem, on_missing: OnMissing, *, enough: bool = False) -> Wish:
    versions = frozenset() if item.version is None else frozenset({item.version})
    fallbacks = frozenset() if on_missing == "refuse" else frozenset({on_missing})
    return Wish(item.concept, versions, frozenset({item.strength}), fallbacks, enough)


def _named(found: Iterable[tuple[str, int]]) -> str:
    return " and ".join(f"the policy {name!r} (version {version})" for name, version in found)
