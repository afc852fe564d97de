"""A store that is away for a while costs time and no work: a worker waits for it, with what it has made in its hands.

Waited out is what may pass: a file system that is not mounted, full, read-only, or whose server does not answer; a bucket whose
server does not. What an operator has to mend, a bucket that is not there or is closed to us, is told at once. The job's lease is
renewed meanwhile, and whoever cancels it is heard when the store is back. Only workers wait; the gateway tells its clients at
once that the store does not answer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from workers.store.artifacts import (
    ArtifactChanged,
    ArtifactError,
    ArtifactMissing,
    ArtifactStore,
    InvalidKey,
    Stamp,
    StoreRefuses,
    UnsupportedStore,
)

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
_ANSWERS = (ArtifactMissing, ArtifactChanged, InvalidKey, UnsupportedStore, StoreRefuses)
"""What the store says when it is there."""

Found = TypeVar("Found")


class PatientStore:
    """An `ArtifactStore`. Once `seconds` were waited in vain, calls fail at once until one succeeds again."""

    def __init__(
        self,
        store: ArtifactStore,
        *,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._failing_since: float | None = None

    def put(self, key: str, data: bytes) -> None:
        self._patiently(lambda: self._store.put(key, data))

    def put_file(self, key: str, path: Path) -> None:
        self._patiently(lambda: self._store.put_file(key, path))

    def create(self, key: str, data: bytes) -> bool:
        return self._patiently(lambda: self._store.create(key, data))

    def get(self, key: str) -> bytes:
        return self._patiently(lambda: self._store.get(key))

    def stat(self, key: str) -> Stamp:
        return self._patiently(lambda: self._store.stat(key))

    def read(self, key: str, stamp: Stamp, start: int, stop: int) -> bytes:
        return self._patiently(lambda: self._store.read(key, stamp, start, stop))

    def exists(self, key: str) -> bool:
        return self._patiently(lambda: self._store.exists(key))

    def list(self, prefix: str) -> list[str]:
        return self._patiently(lambda: self._store.list(prefix))

    def delete(self, prefix: str) -> None:
        self._patiently(lambda: self._store.delete(prefix))

    def _patiently(self, call: Callable[[], Found]) -> Found:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                found = call()
            except _ANSWERS:
                self._failing_since = None
                raise
            except ArtifactError as error:
                now = self._clock()
                self._failing_since = since = now if self._failing_since is None else self._failing_since
                if now - since >= self._seconds:
                    raise
                logger.warning("waiting for the artifact store: %s", error)
                self._sleep(min(pause, since + self._seconds - now))
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                self._failing_since = None
                return found
