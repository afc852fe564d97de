"""The log of one process under supervision: a private file of bounded size, with a few older ones beside it.

The process itself writes to the file, so that neither loses lines nor waits where the supervisor is slow or stopped. The
supervisor calls `rotate` a few times a second: a file that has grown past `max_bytes` is copied to `<name>.1` and emptied. The
process opened it for appending and goes on at its start. Lines written between the copy and the emptying are lost.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from workers.private_files import open_private

MAX_BYTES = 8 * 2**20
OLD_FILES = 3


@dataclass(frozen=True)
class LogFile:
    path: Path
    max_bytes: int = MAX_BYTES
    """The bound of one file. The current one exceeds it by the lines written between two calls of `rotate`."""
    old_files: int = OLD_FILES

    def open(self) -> BinaryIO:
        """For appending, as standard output of the process."""
        return os.fdopen(open_private(self.path, os.O_WRONLY | os.O_APPEND), "ab")

    def rotate(self) -> None:
        """Empty the file if it has grown past its bound; the oldest file is dropped. Raises `OSError`."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:  # deleted while the process writes to it
            return
        if size <= self.max_bytes:
            return
        for number in range(self.old_files, 1, -1):
            if (younger := self._old(number - 1)).exists():
                younger.replace(self._old(number))
        try:
            self._copy_end(size)
        finally:
            os.truncate(self.path, 0)  # also on a disk that is full: it frees the most

    def last_lines(self, count: int) -> list[str]:
        """The last lines written, also where they are in an older file."""
        content = b"".join(_end(path, self.max_bytes) for path in (self._old(1), self.path) if path.exists())
        return content.decode(errors="replace").splitlines()[-count:]

    def _copy_end(self, size: int) -> None:
        """The newest `max_bytes` bytes, from the start of a line."""
        with self.path.open("rb") as source, os.fdopen(open_private(self._old(1), os.O_WRONLY | os.O_TRUNC), "wb") as copy:
            if size > self.max_bytes:
                source.seek(size - self.max_bytes)
                source.readline(self.max_bytes)
            copy.write(source.read(self.max_bytes))

    def _old(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def _end(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - max_bytes))
        return file.read(max_bytes)
