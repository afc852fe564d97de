"""The private directory in which an embedded installation keeps its unix socket.

A unix socket's path is at most about 100 bytes long, and Redis clients paste it into URLs and parse it out of `CLIENT INFO`.
So the socket does not lie in the data directory, whose path may be long or hold any character, but in a short directory in
/tmp, named by the user and a hash of the data directory: every process that knows the data directory finds it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

BASE = Path("/tmp")  # noqa: S108  checked below: the directory must be this user's own


class UnsafeRuntimeDirectory(Exception):
    """The runtime directory exists and belongs to another user, or is not a directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} exists and is not a private directory of this user: remove it, or ask its owner to")


def runtime_directory(data_dir: Path) -> Path:
    """Path of the runtime directory for a data directory. Nothing is created."""
    digest = hashlib.sha256(os.fsencode(data_dir.expanduser().resolve())).hexdigest()
    return BASE / f"clearway-{os.getuid()}-{digest[:16]}"


def socket_path(data_dir: Path) -> Path:
    """Path of the embedded queue server's socket for a data directory."""
    return runtime_directory(data_dir) / "valkey.sock"


def make_runtime_directory(data_dir: Path) -> Path:
    """Create the runtime directory with mode 0700, or check that the existing one is private. Raises `UnsafeRuntimeDirectory`."""
    path = runtime_directory(data_dir)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()  # of the name itself: a link that somebody else planted in /tmp is refused
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise UnsafeRuntimeDirectory(path)
    path.chmod(0o700)
    return path
