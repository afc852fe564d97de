"""The measurements of a suite, one line each, kept as they come in: a suite that was stopped goes on where it was, and one that
is asked for more clips films what it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

FILE = "cells.jsonl"
SHEETS = "sheets"
"""The directory, beside it, of pictures that `workers.suite.sheet` draws."""
ORIGIN = "origin"
"""The variant that erases nothing."""


@dataclass(frozen=True)
class Measured:
    """What the detector saw in the clips of one cell."""

    concept: str
    variant: str
    factor: float
    """Times the eraser's own strength; 0 for the origin."""
    strength: float
    cell: str
    shares: tuple[float | None, ...]
    """Of frames in which the detector sees what the prompt asks for, in the cell `scene` beside the concept, clip by clip; the
    seeds are the same in every cell. None where the prompt asks for a concept that another eraser of the stack takes out."""
    unchanged: float | None = None
    """In the cell of others, the share of prompts whose embeddings are the origin's, bit for bit, of those that count."""

    @property
    def counted(self) -> int:
        """How many clips count."""
        return sum(share is not None for share in self.shares)

    def first(self, clips: int) -> Measured:
        """As if no more than `clips` had been filmed; `unchanged` stays what it is over all of them."""
        return replace(self, shares=self.shares[:clips])

    def __add__(self, more: Measured) -> Measured:
        """The same cell with the clips of both."""
        unchanged = None
        if self.unchanged is not None and more.unchanged is not None:
            same = self.unchanged * self.counted + more.unchanged * more.counted
            unchanged = round(same / max(1, self.counted + more.counted), 4)
        return replace(self, shares=self.shares + more.shares, unchanged=unchanged)

    @property
    def rate(self) -> float:
        """The mean over the clips that count."""
        counted = [share for share in self.shares if share is not None]
        return sum(counted) / len(counted) if counted else 0.0


class Journal:
    """`cells.jsonl` of a directory. Its first line says what the suite is; another suite is refused."""

    def __init__(self, directory: Path, suite: dict[str, object]) -> None:
        """Raises ValueError for a directory that holds another suite."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / FILE
        if not self._path.exists():
            self._write([{"suite": suite}], "w")
        found, self.measured = read(directory)
        if found != suite:
            raise ValueError(f"{self._path} is of another suite, {found}; give another directory, or the same options")
        if not self._path.read_bytes().endswith(b"\n"):  # the last line was being written when the power went
            self._write([{"suite": suite}, *map(asdict, self.measured)], "w")

    def add(self, measured: Iterable[Measured]) -> None:
        measured = list(measured)
        self._write(map(asdict, measured), "a")
        self.measured = _latest([*self.measured, *measured])

    def _write(self, rows: Iterable[dict[str, object]], mode: Literal["w", "a"]) -> None:
        with self._path.open(mode, encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def read(directory: Path) -> tuple[dict[str, object], list[Measured]]:
    """What the suite is, and what it has measured so far; half a line at the end does not count."""
    first, *lines = (directory / FILE).read_text(encoding="utf-8").split("\n")
    return json.loads(first)["suite"], _latest(_parse(line) for line in lines if _whole(line))


def _latest(measured: Iterable[Measured]) -> list[Measured]:
    """One for each cell: a later line has the clips of the earlier ones, and more."""
    return list({(one.concept, one.variant, one.factor, one.cell): one for one in measured}.values())


def _parse(line: str) -> Measured:
    row = json.loads(line)
    return Measured(**(row | {"shares": tuple(row["shares"])}))


def _whole(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
