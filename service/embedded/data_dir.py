"""The data directory of an embedded Clearway: where things lie in it, and who holds it.

    <data-dir>/  up.lock  operator.key  clearway.db  artifacts/  valkey/  valkey.sock  logs/<process>.log

Database, operator key and artifacts belong to the gateway and the workers; here are the names that the supervisor uses.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.errors import DataDirLocked

MAX_SOCKET_PATH_BYTES = 100
"""A unix socket's path must fit in 108 bytes on Linux and 104 on macOS, terminator included."""


class DataDir:
    """Names inside one data directory, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def make(self) -> None:
        """Creates what is missing, readable by its owner alone."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(exist_ok=True)
        self.valkey.mkdir(exist_ok=True)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def _lock_file(self) -> Path:
        return self.path / "up.lock"

    @property
    def operator_key(self) -> Path:
        return self.path / "operator.key"

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    @contextmanager
    def lock(self) -> Iterator[Callable[[str], None]]:
        """Holds the directory until the block ends or the process does, however it ends.

        Yields a function that publishes the address of the service, for `url` in other processes.
        """
        with self._lock_file.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataDirLocked(self.path, self.url() or "just starting") from None
            file.truncate(0)

            def publish(url: str) -> None:
                file.write(url)
                file.flush()

            yield publish
            file.truncate(0)

    def url(self) -> str | None:
        """Where the `clearway up` that holds this directory serves."""
        return self._lock_file.read_text().strip() or None if self._lock_file.exists() else None

    @contextmanager
    def socket(self) -> Iterator[Path]:
        """Where Valkey listens: in the data directory, or in a private temporary one if that path is too long for a socket."""
        inside = self.path / "valkey.sock"
        if len(os.fsencode(inside)) <= MAX_SOCKET_PATH_BYTES:
            inside.unlink(missing_ok=True)  # left by a killed server; the lock says that none is running
            yield inside
            return
        with tempfile.TemporaryDirectory(prefix="clearway-", dir="/tmp") as private:  # mode 0700, random name
            yield Path(private) / "valkey.sock"
