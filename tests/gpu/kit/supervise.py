"""Run the stages in a process of their own, so that one that crashes or hangs costs no other. Imports no torch.

The process writes the run's file before and after each stage. When it ends with stages left, the stage that was running is
recorded as crashed and a new process goes on with the rest. At the deadline the process is killed.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.gpu.kit.record import Run, StageRecord, Status

Command = Callable[[Sequence[str]], list[str]]
"""The command line of a process that runs these stages."""


def supervise(path: Path, stages: Sequence[str], *, command: Command, deadline: float) -> Run:
    """Every one of `stages` is in the run that this returns. `deadline` is a time of `time.time()`."""
    while left := [name for name in stages if name not in Run.read(path).done()]:
        began = time.time()
        if began >= deadline:
            _record(path, left, "skipped", "the time was over before it began", 0.0)
            break
        process = subprocess.Popen(command(left))
        try:
            code = process.wait(timeout=deadline - began)
            status: Status = "crashed"
            reason = f"its process ended with exit status {code}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status, reason = "stopped", "the time was over while it ran"
        run = Run.read(path)
        seconds = time.time() - began - sum(one.seconds for one in run.stages if one.name in left)
        if run.running is not None:
            _record(path, [run.running], status, reason, seconds)
        elif not run.done() & set(left):  # it never came to a stage: what it failed on would fail again
            _record(path, left, status, reason, seconds)
    return Run.read(path)


def _record(path: Path, names: Sequence[str], status: Status, reason: str, seconds: float) -> None:
    run = Run.read(path)
    run.stages += [StageRecord(name, status, seconds, reason) for name in names]
    run.running = None
    run.write(path)
