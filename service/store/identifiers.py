"""Identifiers that grow with time, so that order by id is order of arrival and an id is a cursor."""

from __future__ import annotations

import secrets
import time
from typing import Literal

Prefix = Literal["gen", "train", "eval", "ers"]


def new_id(prefix: Prefix) -> str:
    """`gen_019a…`: milliseconds since 1970 in 12 hex digits, then 80 random bits."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"


def bounds(prefix: Prefix) -> tuple[str, str]:
    """All ids of a prefix lie between these, whether or not a collation passes over the underscore."""
    return prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)
