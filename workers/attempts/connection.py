"""Two clients of the same Redis: a patient one for the queue, and a brisk one for everything a running job says."""

from __future__ import annotations

import logging
import time

from redis import Redis
from redis.backoff import ConstantBackoff, ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

logger = logging.getLogger(__name__)

_LOST = (RedisConnectionError, RedisTimeoutError)


def patient(url: str) -> Redis:
    """For RQ: a command survives a restart of Redis that takes up to about half a minute."""
    return Redis.from_url(url, retry=Retry(ExponentialBackoff(cap=2.0, base=0.05), retries=20, supported_errors=_LOST))


def brisk(url: str) -> Redis:
    """For leases and progress: gives up within about two seconds, so that a job never waits for Redis to come back."""
    retry = Retry(ConstantBackoff(0.05), retries=1, supported_errors=_LOST)
    return Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0, retry=retry)


def wait_until_up(client: Redis, *, pause_seconds: float = 0.5) -> None:
    """Return when Redis answers. It says so in the log every time it does not: workers may be started before it."""
    while True:
        try:
            client.ping()
        except _LOST as error:
            logger.warning("waiting for Redis: %s", error)
            time.sleep(pause_seconds)
        else:
            return
