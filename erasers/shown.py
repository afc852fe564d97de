"""Values in error messages, cut short before they are written out: what comes from a file may be of any length."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from reprlib import Repr

_CHARACTERS, _NAMES = 100, 8
_REPR = Repr()
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = _REPR.maxset = 6
_REPR.maxstring = _REPR.maxother = 60


def short(value: object) -> str:
    """At most 100 characters of `repr(value)`, whatever the value's size."""
    text = _REPR.repr(value)
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - 3] + "..."


def short_list(names: Iterable[str]) -> str:
    """The first names, each cut short, and whether there are more."""
    shown = [name if len(name) <= _CHARACTERS else name[: _CHARACTERS - 3] + "..." for name in islice(names, _NAMES + 1)]
    return ", ".join([*shown[:_NAMES], *(["…"] if len(shown) > _NAMES else [])]) or "none"
