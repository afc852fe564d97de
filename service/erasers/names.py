"""Names of concepts that nobody knows: what may have been meant, and how the concept gets an eraser."""

from __future__ import annotations

import difflib

from sqlalchemy.orm import Session

from service.errors import RequestError
from service.store import aliases, erasers


def unknown_concept(session: Session, concept: str, param: str | None, *, stand_in: bool = False) -> RequestError:
    """No eraser was ever trained for the concept; the message lists near misses, the way to train one, and what does without
    where something may `stand_in`."""
    second = aliases.every(session)
    known = [*erasers.concepts(session), *second]
    near = difflib.get_close_matches(concept, known, n=3, cutoff=0.6)
    near += [name for name in known if concept in name.split() and name not in near][:2]
    told = [f"{name!r} (an alias of {second[name]!r})" if name in second else repr(name) for name in near]
    meant = f"; did you mean {' or '.join(told)}?" if told else "."
    cure = f'Train it: POST /erasers {{"concept": "{concept}"}}'
    if stand_in:
        cure += ', or let a method without training stand in: "on_missing"'
    return RequestError("unknown_concept", f"no eraser for {concept!r}{meant} {cure}", param=param)


def hint(session: Session, name: str) -> str:
    """For a message that says there is no such concept: that it is an alias, where it is one."""
    row = aliases.get(session, name)
    return "" if row is None else f" ({name!r} is an alias of {row.concept!r})"
