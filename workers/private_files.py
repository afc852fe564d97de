"""Files and directories that only this user can open, whatever mode they had before: 0600 and 0700.

The data directory holds keys, prompts and the secrets that sign webhooks. Every process that uses it calls
`close_data_directory` when it starts, and does not start where that fails: where something belongs to another user, who could
open it again, or where the file system keeps no modes. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import IO

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
UMASK = 0o077
"""For processes of Clearway: what libraries and child processes create is private too."""

_NAMES = ("up.lock", "operator.key", "queue.key", ".*.key.partial", "clearway.db*", "artifacts", "checkpoints", "logs", "valkey*")
"""Names that Clearway uses in a data directory. Other files are not touched: the data directory may be a home directory."""
_SQLITE_SUFFIXES = ("", "-wal", "-shm", "-journal")


class NotPrivate(Exception):
    """Something that must be private cannot be made so. The message is for the operator."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be made private: {why}. Set CLEARWAY_DATA_DIR to a directory of this user's own")
        self.path = path
        self.why = why


def make_private_directory(path: Path) -> None:
    """Create the directory with mode 0700, and the missing ones above it, or close an existing one to other users.

    Raises `NotPrivate`, or `OSError` where it cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    _close(path, path.stat())


def close_data_directory(path: Path) -> None:
    """Create a data directory, or close an existing one and everything in it that is Clearway's to other users.

    Raises `NotPrivate`, also where it cannot be created or read.
    """
    try:
        make_private_directory(path)
        for pattern in _NAMES:
            for found in path.glob(pattern):
                _close_tree(found)
    except OSError as refused:
        raise NotPrivate(Path(refused.filename or path), refused.strerror or str(refused)) from refused


def close_sqlite_files(path: Path) -> None:
    """Close a SQLite database and its write-ahead log to other users. A database that is not there yet is created empty: SQLite
    gives the files that it adds the mode of the first. Raises `NotPrivate`."""
    with contextlib.suppress(OSError):  # it exists, or SQLite reports the error
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE))
    # An existing one is not opened: closing any descriptor of a database drops the locks that SQLite holds in this process.
    for suffix in _SQLITE_SUFFIXES:
        file = path.with_name(path.name + suffix)
        try:
            _close(file, file.stat())
        except (FileNotFoundError, NotADirectoryError):
            continue


def open_private(path: Path, flags: int) -> int:
    """`os.open` of a file that is created with mode 0600, and closed to other users where it exists. Links are not followed.
    Raises `NotPrivate`."""
    descriptor = os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        _close(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_private(path: Path, text: str) -> None:
    """Write a file that appears whole under its name, durably, with mode 0600."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    file: IO[str]
    with os.fdopen(open_private(partial, os.O_WRONLY | os.O_EXCL), "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _close_tree(path: Path) -> None:
    """Close a file, or a directory and all that it holds. Skips links inside, and files that disappear meanwhile."""
    try:
        found = path.stat()  # of the target: a link to another disk is an operator's way to move a part there
        _close(path, found)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(path) as entries:
                inside = [Path(entry.path) for entry in entries if not entry.is_symlink()]
            for entry in inside:
                _close_tree(entry)
    except FileNotFoundError:
        return


def _close(path: Path, found: os.stat_result) -> None:
    """Take all rights of group and others away."""
    if stat.S_ISDIR(found.st_mode):
        wanted = DIRECTORY_MODE
    elif stat.S_ISREG(found.st_mode):
        wanted = FILE_MODE
    else:
        return  # nothing is kept in a socket or a named pipe
    if found.st_uid != os.geteuid():
        raise NotPrivate(path, f"it belongs to the user {found.st_uid}, and this process runs as {os.geteuid()}")
    if stat.S_IMODE(found.st_mode) == wanted:
        return
    path.chmod(wanted)
    if stat.S_IMODE(path.stat().st_mode) & UMASK:
        raise NotPrivate(path, "its file system keeps no modes")
