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
from workers.private_files import NotPrivate, close_data_directory, make_private_directory, open_private, write_private
from workers.runtime_directory import UnsafeRuntimeDirectory, make_runtime_directory, socket_path


class DataDir:
    """Names inside one data directory, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    def make(self) -> None:
        """Create what is missing, and close everything to other users, whatever it was before. Raises `DataDirUnusable`."""
        try:
            close_data_directory(self.path)
            for directory in (self.logs, self.valkey):
                make_private_directory(directory)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except NotPrivate as refused:
            raise DataDirUnusable(self.path, f"{refused.path}: {refused.why}") from refused
        except OSError as refused:
            raise DataDirUnusable(self.path, refused.strerror or str(refused)) from refused

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
        if not path.exists():
            write_private(path, secrets.token_hex(32) + "\n")

    def log(self, process: str) -> Path:
        return self.logs / f"{process}.log"

    @contextmanager
    def lock(self) -> Iterator[Callable[[str], None]]:
        """Holds the directory until the block ends or the process does, however it ends.

        Yields a function that publishes the address of the service, for `url` in other processes.
        """
        with os.fdopen(open_private(self._lock_file, os.O_RDWR | os.O_APPEND), "a+", encoding="utf-8") as file:
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
        return self._lock_file.read_text().strip() or None if self._lock_file.is_file() else None

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
