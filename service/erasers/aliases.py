"""Second names of concepts: `erase=["nsfw"]` means `nudity`.

A name is a concept that has erasers, or an alias of one, and never both: an alias takes no name that means something already,
and leads to a concept, not on to another alias. Whoever makes a concept or an alias holds a lock that keeps the other out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from service.audit import record
from service.erasers.names import unknown_concept
from service.errors import MissingError, RequestError, StateError
from service.policies.binding import naming
from service.schemas.generations import EraseItem
from service.store import aliases, erasers, gates
from service.store.models import EraserAlias


def resolve(session: Session, items: Sequence[EraseItem], *, param: str) -> list[EraseItem]:
    """Each by the name of its concept. Raises `duplicate_concept` where two names mean the same."""
    meant = aliases.meant(session, [item.concept for item in items])
    named: dict[str, str] = {}
    resolved = []
    for item in items:
        concept = meant.get(item.concept, item.concept)
        if concept in named:
            message = f"{named[concept]!r} and {item.concept!r} both mean {concept!r}: name it once"
            raise RequestError("duplicate_concept", message, param=param)
        named[concept] = item.concept
        resolved.append(item.model_copy(update={"concept": concept}))
    return resolved


def check_free(session: Session, concept: str, *, param: str | None = None) -> None:
    """Before a concept gets its first eraser. Raises `alias_conflict` where its name is an alias."""
    row = aliases.get(session, concept)
    if row is not None:
        message = f"{concept!r} is an alias of {row.concept!r}: delete the alias first, or take another name"
        raise StateError("alias_conflict", message, param=param)


def find(session: Session, alias: str) -> EraserAlias:
    row = aliases.get(session, alias)
    if row is None:
        raise MissingError("not_found", f"no alias {alias!r}: GET /aliases lists what there is")
    return row


def put(session: Session, alias: str, concept: str, *, actor: str) -> EraserAlias:
    """Raises `unknown_concept` or `alias_conflict`."""
    _check(session, alias, concept)
    before = aliases.get(session, alias)
    if before is not None and before.concept == concept:
        return before
    details = {"concept": concept, "before": before and before.concept}
    row = aliases.put(session, alias, concept, created_by=actor)
    record(session, "alias.put", alias, details, actor=actor)
    return row


def delete(session: Session, alias: str, *, actor: str) -> None:
    row = find(session, alias)
    aliases.delete(session, row)
    record(session, "alias.deleted", alias, {"concept": row.concept}, actor=actor)


def _check(session: Session, alias: str, concept: str) -> None:
    if alias == concept:
        raise StateError("alias_conflict", f"{alias!r} cannot be an alias of itself", param="concept")
    other = aliases.get(session, concept)
    if other is not None:
        message = f"{concept!r} is an alias itself, and aliases form no chains: name its concept, {other.concept!r}"
        raise StateError("alias_conflict", message, param="concept")
    if not erasers.of_concept(session, concept):
        raise unknown_concept(session, concept, "concept")
    if erasers.of_concept(session, alias):
        raise StateError("alias_conflict", f"{alias!r} has erasers of its own: an alias would hide them", param="alias")
    if gates.get(session, alias) is not None:
        message = f"{alias!r} has thresholds of its own, which would judge nothing: first DELETE /gates/{alias}"
        raise StateError("alias_conflict", message, param="alias")
    if policies := naming(session, alias):
        message = f"{alias!r} is named by {policies} as a concept of its own: put {concept!r} there first"
        raise StateError("alias_conflict", message, param="alias")
