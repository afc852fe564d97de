"""Whether the whole queue is full, without counting it for every request: to count costs by what is queued.

Between two counts only acceptances make the queue longer, and each is an entry of the audit log; so the numbers of entries say
how many came at most, by all gateways. It is counted again when so many might fill it, and after `_FRESH_SECONDS`, because
attempts that come back into the line leave no entry; those are never refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from service.store import audit, line

_FRESH_SECONDS = 2.0


@dataclass(frozen=True)
class _Count:
    queued: int
    entries: int  # of the audit log, then
    at: float


class Backlog:
    """Of one gateway."""

    def __init__(self, *, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most = most
        self._clock = clock
        self._count = _Count(most, 0, float("-inf"))

    def is_full(self, session: Session) -> bool:
        """After `Database.lock_queue`, which lets nobody accept between what is read here and the end of the transaction."""
        entries, now = audit.head(session).sequence, self._clock()
        fresh = now - self._count.at < _FRESH_SECONDS
        if not fresh or self._count.queued + entries - self._count.entries >= self.most:
            self._count = _Count(line.queued(session, most=self.most), entries, now)
            return self._count.queued >= self.most
        return False
