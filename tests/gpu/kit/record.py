"""What a run of the kit found, stage by stage: one JSON file, written anew after every stage. Imports no torch.

A record is never dropped: a stage that failed, crashed its process or did not fit into the time is in the file with the reason.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Value = str | float | int | bool | None
Status = Literal["ok", "failed", "crashed", "stopped", "skipped"]
"""`failed`: it raised. `crashed`: its process ended. `stopped`: the time was over. `skipped`: it was not started."""


@dataclass(frozen=True)
class Findings:
    """What one stage measured."""

    figures: dict[str, Value] = field(default_factory=dict)
    """Single numbers, by name; the unit is in the name."""
    rows: list[dict[str, Value]] = field(default_factory=list)
    """A table: every row has the same columns."""
    notes: list[str] = field(default_factory=list)
    """How to read the numbers: what was extrapolated, and from what."""


@dataclass(frozen=True)
class StageRecord:
    name: str
    status: Status
    seconds: float
    """Wall time, loading of models included."""
    reason: str = ""
    """Of everything but `ok`: an error with its traceback, or why the stage did not run."""
    findings: Findings = field(default_factory=Findings)


@dataclass
class Run:
    """A run and the file it is kept in. `running` names the stage in progress."""

    started: str
    """ISO 8601, UTC"""
    options: dict[str, Any]
    versions: dict[str, str] = field(default_factory=dict)
    device: dict[str, Value] = field(default_factory=dict)
    stages: list[StageRecord] = field(default_factory=list)
    running: str | None = None
    seconds: float = 0.0

    def done(self) -> set[str]:
        return {stage.name for stage in self.stages}

    def write(self, path: Path) -> None:
        """Whole or not at all: the process may be killed at any time."""
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")
        os.replace(partial, path)

    @classmethod
    def read(cls, path: Path) -> Run:
        raw = json.loads(path.read_text())
        stages = [StageRecord(**{**one, "findings": Findings(**one["findings"])}) for one in raw.pop("stages")]
        return cls(**raw, stages=stages)
