"""Where a trainer keeps the checkpoints of its trainings: a folder of the data directory, one folder a training.

They outlive the process, so that the next attempt goes on where a killed one was. Another machine does not see them and
starts from the beginning, to the same result. What no attempt came back for is removed after a week.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

logger = logging.getLogger(__name__)

KEPT_SECONDS = 7 * 24 * 3600.0


class Checkpoints:
    def __init__(self, root: Path) -> None:
        self._root = root

    def directory(self, training_id: str) -> Path:
        return self._root / training_id

    def discard(self, training_id: str) -> None:
        """For trainings that have ended, and for what cannot be read."""
        shutil.rmtree(self.directory(training_id), ignore_errors=True)

    def remove_abandoned(self) -> None:
        if not self._root.is_dir():
            return
        for directory in self._root.iterdir():
            if time.time() - directory.stat().st_mtime > KEPT_SECONDS:
                logger.info("the checkpoint of training %s was never asked for again: removed", directory.name)
                self.discard(directory.name)
