"""What a key may have, and what the queue takes: decided in the transaction that inserts the job.

The row of the key is locked before anything is counted, so requests of one key that come together, to whichever gateways, are
counted one after the other. What has to do with running is not refused here; those jobs wait (`service.lifecycle.window`).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service.auth import Caller
from service.errors import LimitError, UnavailableError
from service.gateway import Gateway
from service.store import clock, keys, line

_MINUTE = timedelta(minutes=1)
_RETRY_QUEUED_SECONDS = 10
"""When room comes depends on how long jobs take, which nobody knows; asking again costs little."""


def allow(gateway: Gateway, session: Session, caller: Caller) -> None:
    """Nothing, or `LimitError` for the key, `UnavailableError` for the whole queue. What the request takes of its key's limits is
    given back when the transaction fails. It holds other accepting transactions back, so it comes late in its own."""
    _allow_key(session, caller.key_id)
    gateway.database.lock_queue(session)
    if gateway.backlog.is_full(session):
        message = f"{gateway.backlog.most} jobs are queued, which is all that this service takes: try again later"
        raise UnavailableError("queue_full", message, retry_after_seconds=_RETRY_QUEUED_SECONDS)


def _allow_key(session: Session, key_id: str) -> None:
    key = keys.get(session, key_id)
    if key is None or (key.requests_per_minute is None and key.max_queued is None):
        return
    key = keys.lock(session, key_id)
    if key.max_queued is not None and line.queued(session, key_id=key_id, most=key.max_queued) >= key.max_queued:
        message = f"this key has {key.max_queued} jobs queued, which is all it may have: wait until some have run, or cancel some"
        raise LimitError("too_many_queued", message, retry_after_seconds=_RETRY_QUEUED_SECONDS)
    if key.requests_per_minute is not None:
        key.bucket_full_at = take(key.bucket_full_at, per_minute=key.requests_per_minute, now=clock.now(session))


def give_back(full_at: datetime, *, per_minute: int) -> datetime:
    """The bucket with one request put back: the inverse of `take`."""
    return full_at - _MINUTE / per_minute


def take(full_at: datetime | None, *, per_minute: int, now: datetime) -> datetime:
    """One request out of a bucket that holds `per_minute` and fills evenly, in a minute. The bucket is kept as the moment when it
    is full again; `full_at` is that of before, the answer that of afterwards. Raises `LimitError` where it is empty. A `full_at`
    that no bucket can have was written by a wrong clock and is void."""
    drop = _MINUTE / per_minute
    if full_at is not None and full_at - now > 2 * _MINUTE:
        full_at = None
    full_at = max(full_at or now, now) + drop
    wait = full_at - now - _MINUTE
    if wait > timedelta(0):
        message = f"this key may make {per_minute} requests a minute, and made them: wait {wait.total_seconds():.1f} s"
        raise LimitError("rate_limited", message, retry_after_seconds=max(1, math.ceil(wait.total_seconds())))
    return full_at
