"""The mark of a directory store: a file in its root with a random word, written with the first value and never again.

A directory that merely has the store's path is not the store: the empty mount point under a file system that went away, or
a folder that somebody made anew. To whoever has seen the mark, its absence says so. A process that starts while the store
is away has seen nothing and cannot tell; what it writes carries another word, which everybody else refuses.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE_NAME = ".clearway-store"


class Mark:
    def __init__(self, root: Path) -> None:
        self._root = root
        self._file = root / FILE_NAME
        self._seen = ""
        self.trouble()  # sees it

    def trouble(self) -> str | None:
        """Why the directory is not the store that was seen before; None where it is, or where none was ever seen."""
        try:
            found = self._file.read_text()
        except (FileNotFoundError, NotADirectoryError):
            found = ""
        except OSError as error:
            return str(error)
        self._seen = self._seen or found
        if found == self._seen:
            return None
        return f"{self._root} is {'another store' if found else 'not there'}: is its file system mounted?"

    def make(self) -> None:
        """Mark a store that has no mark yet. Of several processes that do it at once, one succeeds."""
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(16))
            file.flush()
            os.fsync(file.fileno())
