"""What a reader of bytes asks beside them: for a part (RFC 9110, 14), or only if they are, or are not, what it has (13).

One range is understood; of several, of other units and of what cannot be read nothing is, and the whole is sent, as the RFC
allows. There is no `Last-Modified`, so a date in `If-Range` never fits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from service.errors import RangeError

_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Conditions:
    range: str | None = None
    if_range: str | None = None
    if_none_match: str | None = None
    head: bool = False
    """Everything but the bytes is asked for; a range says nothing then (RFC 9110, 14.2)."""

    def has(self, etag: str) -> bool:
        """Whether the reader has what `etag` names. `etag` is strong, and in quotes."""
        listed = [tag.strip().removeprefix("W/") for tag in (self.if_none_match or "").split(",")]
        return etag in listed or listed == ["*"]

    def part(self, etag: str, size: int) -> tuple[int, int] | None:
        """From where to before where; None for everything. Raises `RangeError` where it begins behind the end."""
        asked = _RANGE.fullmatch(self.range or "")
        if asked is None or self.head or (self.if_range is not None and self.if_range.strip() != etag):
            return None
        first, last = asked.groups()
        if first and last and int(first) > int(last):
            return None
        if first:
            start, stop = int(first), int(last) + 1 if last else size
        elif last:
            start, stop = (max(0, size - int(last)), size) if int(last) else (size, size)
        else:
            return None
        if start >= size:
            raise RangeError("range_not_satisfiable", f"the range begins behind the end: there are {size} bytes", size=size)
        return start, min(stop, size)


def _conditions(
    request: Request,
    range: Annotated[str | None, Header(description="One range of bytes, as `bytes=0-1023`.")] = None,  # noqa: A002
    if_range: Annotated[str | None, Header(description="The part only of what has this `ETag`, else the whole.")] = None,
    if_none_match: Annotated[str | None, Header(description="The `ETag`s that the reader has.")] = None,
) -> Conditions:
    return Conditions(range, if_range, if_none_match, head=request.method == "HEAD")


ConditionsDep = Annotated[Conditions, Depends(_conditions)]
