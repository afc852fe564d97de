"""Which erasers act on a request: what it asks for, joined with what it must not leave out, each pinned by digest.

`merge` is pure, and monotone in the mandatory set: no request can weaken a policy.
Who is bound by which mandatory set is for the caller of `resolve` to say.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.errors import RequestError, StateError
from service.schemas.generations import AppliedEraser, EraseItem
from service.store import erasers
from service.store.models import EraserVersion
from workers.contract import ModelCard


@dataclass(frozen=True)
class Wish:
    """One concept to erase. Without a version the active one acts; of several strengths the greatest, None being the
    eraser's own, which only the registry knows."""

    concept: str
    version: int | None = None
    strengths: frozenset[float | None] = frozenset({None})


def merge(requested: Iterable[Wish], mandatory: Iterable[Wish]) -> tuple[Wish, ...]:
    """One wish per concept, in the order of names. A mandatory version holds against a requested one."""
    joined = {wish.concept: wish for wish in requested}
    for must in mandatory:
        asked = joined.get(must.concept, must)
        joined[must.concept] = Wish(must.concept, must.version or asked.version, must.strengths | asked.strengths)
    return tuple(joined[concept] for concept in sorted(joined))


def resolve(
    session: Session, erase: Sequence[EraseItem], card: ModelCard, *, mandatory: Sequence[Wish] = ()
) -> list[AppliedEraser]:
    """The canonical stack of a request. Raises for a concept that is unknown, not active, or of another encoder."""
    wishes = merge((Wish(item.concept, item.version, frozenset({item.strength})) for item in erase), mandatory)
    positions = {item.concept: f"erase[{index}]" for index, item in enumerate(erase)}
    return [_pin(session, wish, card, positions.get(wish.concept)) for wish in wishes]


def _pin(session: Session, wish: Wish, card: ModelCard, param: str | None) -> AppliedEraser:
    row = _find(session, wish, card, param)
    if row.status != "active":
        raise StateError("eraser_not_active", _not_active(row), param=param)
    if row.encoder_fingerprint != card.encoder_fingerprint:
        raise _wrong_encoder(wish.concept, row, card, param)
    if row.digest is None or row.strength is None or row.layer is None:
        raise AssertionError(f"active version {row.id} without an artefact")
    strength = max(row.strength if strength is None else strength for strength in wish.strengths)
    return AppliedEraser(concept=row.concept, version=row.version, digest=row.digest, strength=strength, layer=row.layer)


def _find(session: Session, wish: Wish, card: ModelCard, param: str | None) -> EraserVersion:
    """The version that is meant, in whatever state it is: the caller says what is wrong with it."""
    versions = erasers.of_concept(session, wish.concept)
    if not versions:
        raise MissingConcept(wish.concept, erasers.concepts(session), param)
    if wish.version is not None:
        for row in versions:
            if row.version == wish.version:
                return row
        known = ", ".join(str(row.version) for row in reversed(versions))
        raise RequestError("unknown_version", f"{wish.concept!r} has no version {wish.version}; it has {known}", param=param)
    active = [row for row in versions if row.status == "active"]
    fitting = [row for row in active if row.encoder_fingerprint == card.encoder_fingerprint]
    return (fitting or active or versions)[0]


class MissingConcept(RequestError):
    """No eraser was ever trained for the concept; the message lists near misses and the way to train one."""

    def __init__(self, concept: str, known: Sequence[str], param: str | None) -> None:
        near = difflib.get_close_matches(concept, known, n=3, cutoff=0.6)
        near += [name for name in known if concept in name.split() and name not in near][:2]
        meant = f"; did you mean {' or '.join(map(repr, near))}?" if near else "."
        cure = f'Train it: POST /erasers {{"concept": "{concept}"}}'
        super().__init__("unknown_concept", f"no eraser for {concept!r}{meant} {cure}", param=param)


def _not_active(row: EraserVersion) -> str:
    cure = {
        "training": f"it is being trained: GET /erasers/{row.concept}/{row.version}/events tells when it is done",
        "candidate": f"an operator activates it: POST /erasers/{row.concept}/{row.version}/activate",
        "failed": 'its training failed; train a new version: POST /erasers {"concept": …}',
        "retired": "it was retired; name the concept without a version to get the active one",
        "active": "",
    }[row.status]
    return f"the eraser of {row.concept!r}, version {row.version}, is {row.status}, not active: {cure}"


def _wrong_encoder(concept: str, row: EraserVersion, card: ModelCard, param: str | None) -> StateError:
    return StateError(
        "eraser_wrong_encoder",
        f"the eraser of {concept!r}, version {row.version}, was made for the text encoder of {row.model!r}, not for that of "
        f'{card.id!r}; train one for it: POST /erasers {{"concept": "{concept}", "model": "{card.id}"}}',
        param=param,
    )
