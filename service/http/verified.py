"""Videos that were read from end to end and had the digest of their receipts.

The digest that counts is the one in SQL, which was there before anybody could touch the file again. What was verified is known by
its stamp, so that a player which asks for a hundred ranges has the video hashed once; whatever is put in its place later has
another stamp, and is read anew.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from workers.store.artifacts import ArtifactStore, Stamp, pieces

_REMEMBERED = 10_000


class Tampered(Exception):
    """What lies under the key is not what the receipt describes."""


class VerifiedVideos:
    def __init__(self, store: ArtifactStore, *, most: int = _REMEMBERED) -> None:
        self._store = store
        self._most = most
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, str], Stamp] = OrderedDict()

    def stamp(self, key: str, *, sha256: str, size: int) -> Stamp:
        """The stamp of the value under `key`, which has this digest. Raises `Tampered`, and what the store raises."""
        stamp = self._store.stat(key)
        with self._lock:
            if self._known.get((key, sha256)) == stamp:
                self._known.move_to_end((key, sha256))
                return stamp
        if stamp.bytes != size:
            raise Tampered(f"{key} has {stamp.bytes} bytes, and its receipt says {size}")
        if (found := self._digest(key, stamp)) != sha256:
            raise Tampered(f"{key} has the sha256 {found}, and its receipt says {sha256}")
        with self._lock:
            self._known[key, sha256] = stamp
            while len(self._known) > self._most:
                self._known.popitem(last=False)
        return stamp

    def _digest(self, key: str, stamp: Stamp) -> str:
        digest = hashlib.sha256()
        for piece in pieces(self._store, key, stamp, 0, stamp.bytes):
            digest.update(piece)
        return digest.hexdigest()
