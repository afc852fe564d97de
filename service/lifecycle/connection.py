"""Clients of Redis that give up soon: a request must not wait for a Redis that is away, and everything works without it."""

from __future__ import annotations

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

_LOST = (RedisConnectionError, RedisTimeoutError)
_TIMEOUT_SECONDS = 2.0
"""Longer than any read of a stream blocks, so that silence is not taken for a loss."""


def open_redis(url: str) -> Redis:
    retry = Retry(ConstantBackoff(0.05), retries=1, supported_errors=_LOST)
    return Redis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS, retry=retry)


def open_async_redis(url: str) -> AsyncRedis:
    retry = AsyncRetry(ConstantBackoff(0.05), retries=1, supported_errors=_LOST)
    return AsyncRedis.from_url(url, socket_timeout=_TIMEOUT_SECONDS, socket_connect_timeout=_TIMEOUT_SECONDS, retry=retry)
