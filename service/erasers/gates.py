"""Whose thresholds judge the versions of a concept: the deployment's, but for those that an operator set for this concept.

A concept's own threshold holds, be it stricter or laxer than the deployment's; both are on record, in the audit log and in
reports. What judges is read in the transaction that activates, so that no change comes in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from service.audit import record
from service.domain.gate import Source, Thresholds, Verdict, judge
from service.erasers import aliases, interactions
from service.store import gates
from service.store.models import ConceptGate, EraserVersion
from workers.contract import Interaction


@dataclass(frozen=True)
class Gate:
    deployment: Thresholds
    own: Mapping[str, float]  # names of `Thresholds`, as far as they were set for the concept

    @property
    def thresholds(self) -> Thresholds:
        return replace(self.deployment, **self.own)

    @property
    def sources(self) -> dict[str, Source]:
        return {name: "concept" if name in self.own else "deployment" for name in asdict(self.deployment)}


@dataclass(frozen=True)
class Judged:
    gate: Gate
    verdict: Verdict
    interactions: tuple[Interaction, ...]
    active: frozenset[str]  # digests of erasers beside which the version stands, or would

    def as_dict(self) -> dict[str, Any]:
        """As the report and the audit log tell it."""
        return {
            "passed": self.verdict.passed,
            "reasons": list(self.verdict.reasons),
            "thresholds": asdict(self.gate.thresholds),
            "sources": self.gate.sources,
            "deployment": asdict(self.gate.deployment),
        }


def gate_of(row: ConceptGate | None, deployment: Thresholds) -> Gate:
    return Gate(deployment, {} if row is None else row.thresholds)


def judge_version(session: Session, row: EraserVersion, deployment: Thresholds) -> Judged:
    """By the thresholds that hold now, beside the erasers that are active now: what was measured with others counts no more."""
    gate = gate_of(gates.get(session, row.concept), deployment)
    active = interactions.still_active(session, row)
    found = interactions.read(row.evaluation)
    counted = None if found is None else [pair for pair in found if pair.eraser.digest in active]
    return Judged(gate, judge(row.evaluation, gate.thresholds, counted), found or (), active)


def put(session: Session, concept: str, own: Mapping[str, float], *, deployment: Thresholds, actor: str) -> ConceptGate:
    """Holds for whatever is activated from the commit on; what is active stays active. Raises `alias_conflict`: by the name of
    an alias it would judge nothing."""
    aliases.check_free(session, concept, param="concept")
    before = gates.get(session, concept)
    details = {"before": before and before.thresholds, "after": dict(own), "deployment": asdict(deployment)}
    row = gates.put(session, concept=concept, thresholds=own, set_by=actor)
    record(session, "gate.put", concept, details, actor=actor)
    return row


def remove(session: Session, row: ConceptGate, *, deployment: Thresholds, actor: str) -> None:
    details = {"before": row.thresholds, "after": None, "deployment": asdict(deployment)}
    gates.delete(session, row)
    record(session, "gate.deleted", row.concept, details, actor=actor)
