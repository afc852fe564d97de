"""The directory of the embedded queue server. The queue is expendable: what was accepted is in SQL, and the gateway's reconciler
enqueues it again. So damaged or deleted files never stop the service: they are moved away, or the directory is made anew.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

from workers.private_files import make_private_directory

_REFUSED_EXIT_CODE = 1
"""Exit code of a Valkey that cannot read its files. One that is killed or crashes ends by a signal."""
_FILES = "appendonlydir"
"""Where Valkey keeps the append-only file, in its directory."""

log = logging.getLogger(__name__)


class QueueDirectory:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._files_seen = False

    def after_exit(self, code: int) -> None:
        """Make the directory fit for another start: set damaged files aside, and create what is missing."""
        if code == _REFUSED_EXIT_CODE and self._files_exist():
            aside = self._free_name()
            self._path.rename(aside)
            log.warning("the queue's files cannot be read and were moved to %s; accepted jobs are enqueued again", aside)
        make_private_directory(self._path)
        self._files_seen = False

    def is_intact(self) -> bool:
        """False once the files that the server writes to were deleted. It has to be started again then, with new ones."""
        exist = self._files_exist()
        if self._files_seen and not exist:
            log.warning("the queue's files in %s were deleted; the queue starts again without them", self._path)
            self._files_seen = False
            return False
        self._files_seen = exist
        return True

    def _files_exist(self) -> bool:
        return (self._path / _FILES).is_dir()

    def _free_name(self) -> Path:
        stem = f"{self._path.name}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
        names = (self._path.with_name(stem + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
        return next(name for name in names if not name.exists())
