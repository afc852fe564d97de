"""The measurements of a suite, one line each, kept as they come in: a suite that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

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
    shares: tuple[float, ...]
    """Of frames in which the detector sees what the prompt asks for, clip by clip; the seeds are the same in every cell."""

    @property
    def key(self) -> tuple[str, str, float, str]:
        return self.concept, self.variant, self.factor, self.cell


class Journal:
    """`cells.jsonl` of a directory. Its first line says what the suite is; another suite is refused."""

    def __init__(self, directory: Path, suite: dict[str, object]) -> None:
        """Raises ValueError for a directory that holds another suite."""
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "cells.jsonl"
        if not self._path.exists():
            self._write([{"suite": suite}])
        first, *lines = self._path.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != {"suite": suite}:
            raise ValueError(f"{self._path} is of another suite, {first}; give another directory, or the same options")
        self.measured = [_parse(line) for line in lines if _whole(line)]
        if len(self.measured) < len(lines):  # the last line was being written when the power went
            self._path.write_text(first + "\n" + "".join(_line(one) for one in self.measured), encoding="utf-8")

    def add(self, measured: Iterable[Measured]) -> None:
        measured = list(measured)
        self._write(asdict(one) for one in measured)
        self.measured += measured

    def _write(self, rows: Iterable[dict[str, object]]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)


def _line(measured: Measured) -> str:
    return json.dumps(asdict(measured)) + "\n"


def _parse(line: str) -> Measured:
    row = json.loads(line)
    return Measured(**(row | {"shares": tuple(row["shares"])}))


def _whole(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
