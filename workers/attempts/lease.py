"""The lease: who runs a job now.

A Redis string that expires. Its holder renews it while the job advances; whoever finds it gone may give the job to another
worker under the next attempt number. A lease once lost stays lost: its former holder must not publish.

What a missing key means depends on this process, and only this process can tell. If it has tried to renew in time all
along, then Redis forgot (it was restarted or wiped), nobody else was given the job because of our silence, and the lease is
taken again. If it has not tried for longer than the lease lasts, then it was paused, and the lease is lost.

The gateway gives an attempt up only where nobody holds its lease, and in the same step puts up a fence: a worker that comes
too late to begin, or goes on after a pause, meets it.

While Redis does not answer, the lease counts as held. Publishing is harmless then: attempts have folders of their own in the
store and the gateway settles only the attempt that its database names, so a finished video is worth more than a doubt.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from workers.contract import fence_key, lease_key
from workers.errors import LeaseLost, LeaseRefused

logger = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.2

# KEYS: lease, fence. ARGV: value, attempt, milliseconds. Refused by a later attempt, by another holder of the same one, and
# where the gateway gave the attempt up.
_TAKE = """
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[2]) then return 0 end
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and cjson.decode(held).attempt >= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""
# KEYS: lease, fence. ARGV: value, attempt, milliseconds, whether a missing one may be taken again.
_RENEW = """
if tonumber(redis.call('GET', KEYS[2]) or 0) >= tonumber(ARGV[2]) then return 0 end
local held = redis.call('GET', KEYS[1])
if held == ARGV[1] or (not held and ARGV[4] == '1') then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
  return 1
end
return 0
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


class Lease:
    """One attempt's lease. `renew` is called by the heartbeat thread, the rest by the thread that runs the job."""

    def __init__(
        self,
        redis: Redis,
        *,
        job_id: str,
        attempt: int,
        worker: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.job_id = job_id
        self.attempt = attempt
        self._seconds = seconds
        self._clock = clock
        self._key = lease_key(job_id)
        self._keys = [self._key, fence_key(job_id)]
        self._value = json.dumps({"attempt": attempt, "worker": worker})
        self._milliseconds = int(seconds * 1000)
        self._take = redis.register_script(_TAKE)
        self._renew = redis.register_script(_RENEW)
        self._release = redis.register_script(_RELEASE)
        self._lock = threading.Lock()
        self._tried_at = clock()
        self._lost_because: str | None = None

    def take(self) -> None:
        """Hold the job, or raise `LeaseRefused` because another worker holds this attempt or a later one, or the gateway gave
        it up.

        A Redis that does not answer is waited for, for as long as a lease lasts: it went away after it had handed out the job,
        and giving up would cost an attempt that nobody began."""
        if not self._taken():
            self.abandon("it was never taken")
            raise LeaseRefused(f"job {self.job_id} attempt {self.attempt}: another worker holds it, or the gateway gave it up")

    def _taken(self) -> bool:
        give_up_at = self._clock() + self._seconds
        while True:
            self._tried_at = self._clock()
            try:
                return bool(self._take(keys=self._keys, args=[self._value, self.attempt, self._milliseconds]))
            except RedisError as error:
                if self._tried_at >= give_up_at:
                    raise
                logger.warning("the lease cannot be taken now: %s", error)
                time.sleep(_PAUSE_SECONDS)

    def renew(self) -> None:
        """Hold on for another `seconds`. Notes a loss instead of raising it; an unreachable Redis is no loss."""
        with self._lock:
            now = self._clock()
            paused, self._tried_at = now - self._tried_at >= self._seconds, now
            if self._lost_because is not None:
                return
            try:
                arguments: list[str | int] = [self._value, self.attempt, self._milliseconds, int(not paused)]
                kept = bool(self._renew(keys=self._keys, args=arguments))
            except RedisError as error:
                logger.warning("the lease cannot be renewed now: %s", error)
                kept = not paused
            if not kept:
                taken = "another worker took it, or the gateway gave it up"
                self._lost_because = "this worker was paused for longer than its lease" if paused else taken

    def abandon(self, because: str) -> None:
        """Give the lease up for good, without a word to Redis: it is left to expire."""
        with self._lock:
            self._lost_because = self._lost_because or because

    def check(self) -> None:
        """Raise `LeaseLost` if it is known to be lost. Asks nobody: cheap enough for every step."""
        if self._lost_because is not None:
            raise LeaseLost(f"job {self.job_id} attempt {self.attempt}: lease lost, {self._lost_because}")

    def verify(self) -> None:
        """Ask Redis, now; raise `LeaseLost` if another attempt may be running. Called right before publishing."""
        self.renew()
        self.check()

    def release(self) -> None:
        """Let go of what is still ours, so that whatever comes next need not wait for the expiry."""
        self.abandon("it was released")
        try:
            self._release(keys=[self._key], args=[self._value])
        except RedisError as error:
            logger.warning("the lease is left to expire: %s", error)
