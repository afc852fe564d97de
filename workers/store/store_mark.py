"""The mark of a store: a random word in a place of its own, written with the first value and never again.

A directory that merely has the store's path is not the store: the empty mount point under a file system that went away, or
a folder that somebody made anew; and so a bucket of the same name. To whoever has seen the mark, its absence says so. A process
that starts while the store is away has seen nothing and cannot tell; what it writes carries another word, which everybody else
refuses.
"""

from __future__ import annotations

import errno
import os
import secrets
from abc import ABC, abstractmethod
from pathlib import Path

from erasers.regular_file import NotRegularFile, open_regular
from workers.private_files import FILE_MODE

FILE_NAME = ".clearway-store"
_OF_THIS_PROCESS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def is_of_this_process(error: OSError) -> bool:
    """Whether a call failed for want of descriptors or memory, which says nothing about the file system."""
    return error.errno in _OF_THIS_PROCESS


class Mark(ABC):
    def __init__(self, place: str, cure: str) -> None:
        self._place = place
        self._cure = cure
        self._seen = ""

    def trouble(self) -> str | None:
        """Why the store is not the one that was seen before; None where it is, or where none was ever seen."""
        found = self._read()
        self._seen = self._seen or found
        if found == self._seen:
            return None
        return f"{self._place} is {'another store' if found else 'not there'}: {self._cure}"

    def make(self) -> bool:
        """Mark a store that has no mark yet, and whose absence was looked at. Of several processes that do it at once, one
        succeeds. Returns whether there was a need."""
        if self._seen:
            return False
        self._create(secrets.token_hex(16))
        return True

    @abstractmethod
    def _read(self) -> str:
        """The word; empty where there is none."""

    @abstractmethod
    def _create(self, word: str) -> None:
        """Write the word, unless there is one."""


class DirectoryMark(Mark):
    def __init__(self, root: Path) -> None:
        super().__init__(str(root), "is its file system mounted?")
        self._file = root / FILE_NAME
        self.trouble()  # sees it

    def trouble(self) -> str | None:
        try:
            return super().trouble()
        except OSError as error:
            if is_of_this_process(error):
                raise
            return str(error)
        except NotRegularFile as other:
            return str(other)

    def _read(self) -> str:
        try:
            with open_regular(self._file, follow_symlinks=False) as file:
                return file.read().decode()
        except (FileNotFoundError, NotADirectoryError):
            return ""

    def _create(self, word: str) -> None:
        try:
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        except FileExistsError:
            return
        with os.fdopen(descriptor, "w") as file:
            file.write(word)
            file.flush()
            os.fsync(file.fileno())
