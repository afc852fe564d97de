"""Names of the stages, the most important first. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

SECONDS: Mapping[str, int] = {
    "training-bfloat16": 60,
    "wan-load": 40,
    "wan-erasers": 15,
    "wan-832x480x81": 10,
    "wan-1280x704x121": 30,
    "tests-wan": 40,
    "search-tf32": 15,
    "wan-compiled": 30,
    "cogvideox-load": 30,
    "cogvideox-720x480x49": 20,
    "tests-cogvideox": 40,
    "swaps": 15,
    "memory-limits": 60,
    "training-tf32": 60,
    "search-bfloat16": 15,
}
"""What a stage takes on an H100, the making and loading of its model not counted. With less time left it is skipped."""

BY_DEFAULT = tuple(name for name in SECONDS if not name.startswith("search-"))
"""`search-…` is the beginning of `training-…`, for a short lease of a GPU."""
