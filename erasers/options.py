"""Options as frozen dataclasses, checked against their own annotations. Standard library only."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from erasers.errors import ConfigError
from erasers.shown import short

Options = TypeVar("Options")
_SHOWN = 100
"""Characters of an unknown name that are compared and repeated."""


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest value of a number, both allowed: `Annotated[int, Bounds(1, 100)]`."""

    least: float
    most: float
    exclusive: bool = False
    """`least` itself is not allowed."""

    def contain(self, value: object) -> bool:
        if not isinstance(value, int | float) or value > self.most:
            return False
        return self.least < value if self.exclusive else self.least <= value

    def __str__(self) -> str:
        return f"above {self.least:,}, {self.most:,} at most" if self.exclusive else f"from {self.least:,} to {self.most:,}"


def from_mapping(kind: type[Options], values: Mapping[str, Any]) -> Options:
    """`kind(**values)`; an unknown key is refused with the names it may have meant."""
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            hint = near_misses(str(key)[:_SHOWN], known) or f"there are {', '.join(known)}"
            raise ConfigError(f"there is no option {short(key)}; {hint}", option=str(key)[:_SHOWN])
    return kind(**values)


def near_misses(name: str, known: Iterable[str], most: int = 3) -> str:
    """For a message that there is no such name: what may have been meant, as a question; empty where nothing comes near."""
    near = difflib.get_close_matches(name, list(known), n=most)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else ""


def check_types(options: object) -> None:
    """Compare every field with its annotation: int, float (an int will do), bool, str, None, Literal, a number with `Bounds`, and
    unions of them."""
    hints = get_type_hints(type(options), include_extras=True)
    for entry in fields(options):  # type: ignore[arg-type]
        value = getattr(options, entry.name)
        if not _matches(value, hints[entry.name]):
            raise ConfigError(f"{entry.name} must be {_describe(hints[entry.name])}, got {short(value)}", option=entry.name)


def require(condition: bool, name: str, value: object, must: str) -> None:
    if not condition:
        raise ConfigError(f"{name} must be {must}, got {short(value)}", option=name)


def _matches(value: object, hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        return _matches(value, kind) and all(note.contain(value) for note in notes if isinstance(note, Bounds))
    if get_origin(hint) in (Union, types.UnionType):
        return any(_matches(value, option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(hint))
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    if hint is float:
        return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        bounds = next(note for note in notes if isinstance(note, Bounds))
        return f"{'a number' if kind is float else _describe(kind)} {bounds}"
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint))
    if get_origin(hint) is Literal:
        return " or ".join(map(repr, get_args(hint)))
    return {float: "a finite number", int: "a whole number", bool: "true or false", type(None): "null"}.get(hint, str(hint))
