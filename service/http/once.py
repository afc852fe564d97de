"""What a request says, it says once, wherever it says it: of two values readers take one, and not all the same one.

What a proxy looked at must be what acts here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from service.errors import ErrorCode, RequestError


def check_once(names: Iterable[str], place: str, code: ErrorCode = "invalid_request") -> None:
    """Raises for the first name that is there again."""
    for name, times in Counter(names).items():
        if times > 1:
            raise said_again(name, place, code)


def said_again(name: str, place: str, code: ErrorCode = "invalid_request") -> RequestError:
    shown = ascii(name[:80])[1:-1]
    return RequestError(code, f"{shown}: it is in {place} more than once: send it once", param=shown)
