"""The registry of erasers: how versions come to be, become active, and go.

Versions are immutable; what moves is which one is active for a (concept, text encoder). Each function runs within the
caller's transaction.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from service.audit import eraser_name, record
from service.domain.gate import Thresholds
from service.domain.states import VersionStatus
from service.erasers.gates import judge_version
from service.erasers.names import hint
from service.errors import MissingError, StateError
from service.policies.binding import needing
from service.store import erasers
from service.store.models import EraserVersion
from workers.contract import TrainingResult

_DELETABLE: frozenset[VersionStatus] = frozenset({"failed", "candidate"})
_KEPT_FOR_RECEIPTS = "what was active once is kept, because receipts name it"
_UNUSABLE = ("eraser_corrupt", "eraser_incompatible")


def find(session: Session, concept: str, version: int) -> EraserVersion:
    row = erasers.get(session, concept, version)
    if row is None:
        message = f"no eraser version {version} of {concept!r}{hint(session, concept)}: GET /erasers lists what there is"
        raise MissingError("not_found", message)
    return row


def complete(session: Session, job_id: str, result: TrainingResult, evaluation: dict[str, Any]) -> None:
    """A training ended well: its version is a candidate, with its numbers."""
    erasers.move(
        session,
        erasers.of_job(session, job_id),
        "candidate",
        digest=result.digest,
        layer=result.layer,
        strength=result.strength,
        minimum_strength=result.minimum_strength,
        encoder_fingerprint=result.encoder_fingerprint,
        evaluation=evaluation,
    )


def measured(session: Session, job_id: str, evaluation: dict[str, Any]) -> None:
    """An evaluation ended well: the version has these numbers from now on, whatever its state."""
    row = erasers.of_evaluation(session, job_id)
    if row is not None:
        row.evaluation = evaluation


def not_measured(session: Session, job_id: str, code: str) -> None:
    """An evaluation ended without numbers. A candidate whose artifact is no usable eraser is `failed`; of others nothing changes,
    and the evaluation can be started again."""
    row = erasers.of_evaluation(session, job_id)
    if row is not None and row.status == "candidate" and code in _UNUSABLE:
        erasers.move(session, row, "failed")


def give_up(session: Session, job_id: str) -> None:
    """A training ended without a result. Why is in its job."""
    erasers.move(session, erasers.of_job(session, job_id), "failed")


def activate(session: Session, row: EraserVersion, deployment: Thresholds, *, override_reason: str | None, actor: str) -> None:
    """`candidate` → `active`; the version that was active for the same concept and encoder is retired in the same breath.
    Judged here, within the transaction, by the thresholds that hold now. With an `override_reason` a version is activated that
    does not pass; where it does pass, the reason is in the audit log only."""
    name = f"version {row.version} of {row.concept!r}"
    if row.status != "candidate":
        raise StateError("invalid_state", f"{name} is {row.status}; only a candidate can be activated")
    if row.evaluation is None:
        message = f"{name} is not evaluated yet, and its tensors are not checked: {_how_to_evaluate(row)}"
        raise StateError("not_evaluated", message)
    judged = judge_version(session, row, deployment)
    verdict = judged.verdict
    if not verdict.passed and override_reason is None:
        reasons = "; ".join(verdict.reasons)
        raise StateError("gate_not_passed", f"{name} does not pass: {reasons}. To activate it anyway: {_override(row)}")
    _put_in_force(session, row, actor=actor, override_reason=None if verdict.passed else override_reason)
    details = {
        "digest": row.digest, "override": override_reason is not None, "reason": override_reason, "gate": judged.as_dict()
    }  # fmt: skip
    record(session, "eraser.activated", eraser_name(row), details, actor=actor)


def _override(row: EraserVersion) -> str:
    return f'POST /erasers/{row.concept}/{row.version}/activate {{"override": true, "reason": "…"}}'


def _how_to_evaluate(row: EraserVersion) -> str:
    path = f"/erasers/{row.concept}/{row.version}"
    return f"GET {path} says how far the evaluation is, POST {path}/evaluate starts one"


def roll_back(session: Session, concept: str, encoder_fingerprint: str, *, version: int | None, actor: str) -> EraserVersion:
    """`retired` → `active`, of the version that was active directly before, or of `version`; what is active now is retired in
    the same breath. No gate: it was passed, or overridden, when the version was activated first."""
    if not erasers.of_concept(session, concept):
        raise MissingError("not_found", f"no eraser of {concept!r}{hint(session, concept)}: GET /erasers lists what there is")
    row = erasers.retired_last(session, concept, encoder_fingerprint) if version is None else find(session, concept, version)
    if row is None:
        message = f"no other version of {concept!r} was ever active for this text encoder: there is nothing to go back to"
        raise StateError("no_previous_version", message)
    if row.encoder_fingerprint != encoder_fingerprint:
        message = f"version {row.version} of {concept!r} was made for the text encoder of {row.model!r}: name that model"
        raise StateError("eraser_wrong_encoder", message, param="version")
    if row.status != "retired":
        message = f"version {row.version} of {concept!r} is {row.status}; only one that is retired can be gone back to"
        raise StateError("invalid_state", message, param="version")
    left = _put_in_force(session, row, actor=actor, retired_at=None)
    details = {"digest": row.digest, "from": None if left is None else left.version}
    record(session, "eraser.rolled_back", eraser_name(row), details, actor=actor)
    return row


def _put_in_force(session: Session, row: EraserVersion, *, actor: str, **values: Any) -> EraserVersion | None:
    """Returns what was active before, which is retired. A policy that names that one by number holds on to it."""
    name = f"version {row.version} of {row.concept!r}"
    now = datetime.now(UTC)
    before = erasers.active(session, row.concept, row.encoder_fingerprint)
    if before is not None and (policies := needing(session, row.concept, {before.version})):
        message = f"{name} would retire version {before.version}, which is named by {policies}: name another one there first"
        raise StateError("policy_needs_eraser", message)
    retired = before is None or erasers.move(session, before, "retired", retired_at=now)
    if not (retired and erasers.move(session, row, "active", activated_at=now, **values)):
        raise StateError("invalid_state", f"{name} was changed by somebody else meanwhile: look at it again")
    if before is not None:
        _record_retired(session, before, successor=row.version, actor=actor)
    return before


def retire(session: Session, row: EraserVersion, *, actor: str) -> None:
    """`active` → `retired`. Requests for the concept are refused from now on, unless another version is activated."""
    if row.status == "active" and (policies := needing(session, row.concept, {row.version, None})):
        message = f"version {row.version} of {row.concept!r} is needed by {policies}: change that first, or activate a successor"
        raise StateError("policy_needs_eraser", message)
    if row.status != "active" or not erasers.move(session, row, "retired", retired_at=datetime.now(UTC)):
        message = f"version {row.version} of {row.concept!r} is {row.status}; only an active one can be retired"
        raise StateError("invalid_state", message)
    _record_retired(session, row, successor=None, actor=actor)


def delete(session: Session, row: EraserVersion, *, actor: str) -> None:
    """Hide a version that was never active; no generation has such a version pinned. Its number is not given out again."""
    name = f"version {row.version} of {row.concept!r}"
    if row.status not in _DELETABLE:
        cure = f"first POST /erasers/{row.concept}/{row.version}/cancel" if row.status == "training" else _KEPT_FOR_RECEIPTS
        raise StateError("invalid_state", f"{name} is {row.status}; only a failed version or a candidate can be deleted: {cure}")
    if policies := needing(session, row.concept, {row.version}):
        raise StateError("policy_needs_eraser", f"{name} is named by {policies}: name another one there first")
    if not erasers.hide(session, row):
        raise StateError("invalid_state", f"{name} was changed by somebody else meanwhile: look at it again")
    record(session, "eraser.deleted", eraser_name(row), {"digest": row.digest, "status": row.status}, actor=actor)


def _record_retired(session: Session, row: EraserVersion, *, successor: int | None, actor: str) -> None:
    record(session, "eraser.retired", eraser_name(row), {"digest": row.digest, "successor": successor}, actor=actor)
