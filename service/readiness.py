"""Whether the artifact store takes values, found out by writing one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from workers.store.artifacts import ArtifactError, ArtifactStore

logger = logging.getLogger(__name__)

KEY = "health/probe"
"""One for all gateways: one that dies before it removes it leaves one value at most."""
GOOD_SECONDS = 10.0
BAD_SECONDS = 2.0
"""Answers are cached for this long: the route needs no key."""


class StoreProbe:
    """Writes a small value and removes it again. An empty store is only listed: before the first value a store has no mark, and
    a directory whose file system is not mounted yet must not get one."""

    def __init__(self, store: ArtifactStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._looking = threading.Lock()
        self._writable = False
        self._good_until = float("-inf")

    def writable(self) -> bool:
        """The newest answer; while another thread finds one out, the one before it."""
        if self._clock() >= self._good_until and self._looking.acquire(blocking=False):
            try:
                self._writable = self._look()
                self._good_until = self._clock() + (GOOD_SECONDS if self._writable else BAD_SECONDS)
            finally:
                self._looking.release()
        return self._writable

    def _look(self) -> bool:
        try:
            if self._store.list("models"):
                self._store.put(KEY, b"written by /health/ready, and removed")
                self._store.delete(KEY)
        except ArtifactError as error:
            logger.warning("the artifact store cannot be written: %s", error)
            return False
        return True
