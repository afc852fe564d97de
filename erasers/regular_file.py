"""Opens files that somebody else may have put there: regular files only, and never waiting. Standard library only.

Opening a named pipe waits for a writer that may never come, and reading a device may never end. So a file is opened without
waiting, and its kind is checked on the open descriptor, where it cannot change any more.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class NotRegularFile(Exception):
    """A path names something that is not a regular file."""

    def __init__(self, path: Path, mode: int) -> None:
        super().__init__(f"{path} is {_KINDS.get(stat.S_IFMT(mode), 'of an unknown kind')} and not a regular file: remove it")


def open_regular(path: str | Path, *, follow_symlinks: bool = True) -> BinaryIO:
    """Open a regular file for reading, as bytes. Raises `NotRegularFile`, or `OSError` as `open` does, also for a directory."""
    path = Path(path)
    try:
        descriptor = os.open(path, _FLAGS if follow_symlinks else _FLAGS | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ELOOP):  # a socket; a link that is not followed
            raise NotRegularFile(path, path.lstat().st_mode) from error
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise NotRegularFile(path, mode)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise
