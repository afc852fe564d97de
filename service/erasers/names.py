"""Names of concepts that nobody knows: what may have been meant, and how the concept gets an eraser."""

from __future__ import annotations

import difflib
import json
from typing import get_args

from sqlalchemy.orm import Session

from service.errors import RequestError
from service.store import aliases, erasers
from workers.contract import ConceptKind

KINDS = ", ".join(get_args(ConceptKind))


def how_to_train(concept: str, **fields: str) -> str:
    """The call that trains an eraser of a concept, for a message. The command line translates it (`service.cli.hints`)."""
    return f"POST /erasers {json.dumps({'concept': concept, 'kind': '…', **fields}, ensure_ascii=False)}"


def unknown_concept(session: Session, concept: str, param: str | None) -> RequestError:
    """No eraser was ever trained for the concept; the message lists near misses and the call that trains one."""
    second = aliases.every(session)
    known = [*erasers.concepts(session), *second]
    near = difflib.get_close_matches(concept, known, n=3, cutoff=0.6)
    near += [name for name in known if concept in name.split() and name not in near][:2]
    told = [f"{name!r} (an alias of {second[name]!r})" if name in second else repr(name) for name in near]
    meant = f"; did you mean {' or '.join(told)}?" if told else "."
    message = f"no eraser for {concept!r}{meant} Train it: {how_to_train(concept)}"
    return RequestError("unknown_concept", message, param=param)


def hint(session: Session, name: str) -> str:
    """For a message that says there is no such concept: that it is an alias, where it is one."""
    row = aliases.get(session, name)
    return "" if row is None else f" ({name!r} is an alias of {row.concept!r})"
