"""One process under supervision: started so that it cannot outlive the supervisor, stopped in two steps, logged to a file."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.embedded.log_file import MAX_BYTES, LogFile
from workers.private_files import UMASK

_PR_SET_PDEATHSIG = 1
LOG_LINES_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class ChildSpec:
    """What to run. `environment` is all it gets; `stop_seconds` is the time between asking it to stop and killing it;
    with an exit code in `hopeless` it says that starting it again would end the same way. `after_exit` is called with the exit
    code before it is started again. It is asked to stop, and started again, when `is_intact` says False."""

    name: str
    command: list[str]
    log: Path
    stop_seconds: float
    environment: Mapping[str, str] = field(repr=False)
    hopeless: frozenset[int] = frozenset()
    after_exit: Callable[[int], None] = field(default=lambda _code: None, repr=False)
    is_intact: Callable[[], bool] = field(default=lambda: True, repr=False)
    max_log_bytes: int = MAX_BYTES


class Child:
    """A running process of one spec. Not restartable: the supervisor makes a new one."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.started_at = time.monotonic()
        self._log = LogFile(spec.log, max_bytes=spec.max_log_bytes)
        with self._log.open() as log:
            self._process = subprocess.Popen(
                spec.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(spec.environment),
                umask=UMASK,
                start_new_session=True,  # Ctrl-C at the terminal reaches the supervisor alone, which stops all in order
                preexec_fn=_dies_with(os.getpid()),
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def age_seconds(self) -> float:
        return time.monotonic() - self.started_at

    def ask_to_stop(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends the process and everything it started."""
        self._signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, seconds: float) -> bool:
        """Whether it ended in time."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_log_lines(self) -> str:
        return "\n".join(f"  {line}" for line in self._log.last_lines(LOG_LINES_SHOWN))

    def rotate_log(self) -> None:
        """Call this a few times a second while it runs. Raises `OSError`."""
        self._log.rotate()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self.pid, number)  # it leads a session, and so a group, of its own
            else:
                self._process.send_signal(number)


def _dies_with(parent: int) -> Callable[[], None] | None:
    """Runs between fork and exec: the kernel kills this child when its parent ends, even by SIGKILL. Linux only."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_parent_death_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the line above
            os._exit(1)

    return set_parent_death_signal
