"""A process manager as small as can be: it keeps parts running, under names, and a test has their signals in its hand."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from service.embedded.child import Child, ChildSpec

_TEND_SECONDS = 0.05


class Manager:
    """Parts die with the process that made this. `tend` starts again what has ended; whoever waits for something calls it."""

    def __init__(self, logs: Path, environment: dict[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self._logs = logs
        self._environment = environment
        self._children: dict[str, Child] = {}

    def start(self, name: str, command: list[str]) -> None:
        log = self._logs / f"{name}.log"
        self._children[name] = Child(
            ChildSpec(name=name, command=command, log=log, stop_seconds=0, environment=self._environment)
        )

    def tend(self) -> None:
        for name, child in self._children.items():
            if child.exit_code() is not None:
                self.start(name, child.spec.command)

    def wait(self, holds: Callable[[], object], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{self.logs()}"
            self.tend()
            time.sleep(_TEND_SECONDS)

    def close(self) -> None:
        for child in reversed(self._children.values()):
            child.kill()  # what stands still dies of SIGKILL too

    def kill(self, name: str) -> None:
        self.tend()  # a part that was just killed is killed again
        os.kill(self.pid(name), signal.SIGKILL)
        self._children[name].wait(30)

    def pause(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.kill(self.pid(name), signal.SIGCONT)

    def names(self, kind: str) -> list[str]:
        return [name for name in self._children if name.startswith(kind)]

    def pid(self, name: str) -> int:
        return self._children[name].pid

    def name_of(self, pid: int) -> str | None:
        """None for a process that does not run any more."""
        return next((name for name, child in self._children.items() if child.pid == pid), None)

    def log_of(self, name: str) -> str:
        return (self._logs / f"{name}.log").read_text(errors="replace")

    def logs(self) -> str:
        return "\n".join(f"== {log.name}\n{self.log_of(log.stem)[-4000:]}" for log in sorted(self._logs.glob("*.log")))
