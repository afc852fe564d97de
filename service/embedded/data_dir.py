"""The data directory of an embedded Clearway: where things lie in it, and who holds it.

    <data-dir>/  up.lock  operator.key  queue.key  clearway.db  artifacts/  valkey/  logs/<process>.log

The queue server's socket is elsewhere: `workers.runtime_directory`. Database, operator key and artifacts belong to the
gateway and the workers; here are the names that the supervisor uses.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from service.embedded.errors import DataDirLocked, DataDirUnusable, RuntimeDirectoryRefused
from workers.common_settings import queue_key_path
from workers.runtime_directory import UnsafeRuntimeDirectory, make_runtime_directory, socket_path


class DataDir:
    """Names inside one data directory, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def make(self) -> None:
        """Create what is missing, readable by its owner alone. Raises `DataDirUnusable`."""
        try:
            for directory in (self.path, self.logs, self.valkey):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as refused:
            raise DataDirUnusable(self.path, refused) from refused

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

    def ensure_queue_key(self) -> None:
        """Generates the key that signs messages in Redis, unless there is one. Gateway and workers read it from the directory."""
        path = queue_key_path(self.path)
        if path.exists():
            return
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
        partial.replace(path)

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
        """Path of the queue server's socket, in a private directory that exists while the block runs.

        Raises `RuntimeDirectoryRefused`. Hold the lock: a socket that is there already was left by a killed server.
        """
        try:
            directory = make_runtime_directory(self.path)
        except (UnsafeRuntimeDirectory, OSError) as refused:
            raise RuntimeDirectoryRefused(refused) from refused
        path = socket_path(self.path)
        path.unlink(missing_ok=True)
        try:
            yield path
        finally:
            shutil.rmtree(directory, ignore_errors=True)
