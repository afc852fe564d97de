"""One delivery over HTTP: to a public address that was looked up and checked right before, in bounded time, believing nothing.

The address that was checked is the one that is connected to, and no proxy from the environment comes in between. Redirects
are not followed, and of the answer only the head is read (100 KiB at most, a bound of h11): the status is all that counts.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx

from service.domain.webhook_address import is_public

logger = logging.getLogger(__name__)

_LOOKUP_THREADS = 200
"""More than messages are sent at once: the lookup of a name goes on in its thread after its message was given up."""


@dataclass(frozen=True)
class Message:
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came of an attempt."""

    error: str | None = None
    """For the client. It is the same whatever kept an HTTP answer from coming: a client chooses the address, and a message for
    each cause would show which names and ports exist in this network."""
    gone: bool = False
    """The receiver wants no more (410)."""
    cause: str = field(default="", compare=False)
    """For the log of the service."""


class NotPublic(Exception):
    """The host of a webhook resolves to an address that may not be called."""


class Sender:
    def __init__(self, *, timeout_seconds: float, private: bool, tls: ssl.SSLContext | None = None) -> None:
        """`private`: addresses that are not public may be called."""
        self.timeout_seconds = timeout_seconds
        self._network = _Network(private=private)
        self._tls = tls or httpx.create_ssl_context()

        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(ThreadPoolExecutor(_LOOKUP_THREADS, thread_name_prefix="webhook-lookup"))
        self._thread = threading.Thread(target=self._loop.run_forever, name="webhook-sender", daemon=True)
        self._thread.start()

    def start(self, message: Message) -> Future[Answer]:
        """Begin to send a message, beside all others. The answer comes within `timeout_seconds`; cancelling ends the attempt."""
        return asyncio.run_coroutine_threadsafe(self._send(message), self._loop)

    def close(self) -> None:
        """Cancel what was started first. Does not wait for lookups of names."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, message: Message) -> Answer:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                status = await self._post(message)
        except TimeoutError:
            return self._unanswered("timeout")
        except NotPublic:
            return self._unanswered("its host resolves to an address that is not public")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, UnicodeError) as error:
            return self._unanswered(f"{type(error).__name__}: {error}")
        return Answer() if 200 <= status < 300 else Answer(f"it answered {status}", gone=status == 410)

    def _unanswered(self, cause: str) -> Answer:
        message = f"no HTTP answer within {self.timeout_seconds:g} s: it is slow, cannot be reached, or has no public address"
        return Answer(message, cause=cause)

    async def _post(self, message: Message) -> int:
        pool = httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._network, max_keepalive_connections=0)
        async with pool, pool.stream("POST", message.url, headers=_headers(message), content=message.body) as response:
            return response.status


class _Network(httpcore.AsyncNetworkBackend):
    def __init__(self, *, private: bool) -> None:
        self._private = private
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises `NotPublic` where any address of the host is not: a name that has both is no mistake."""
        found = await asyncio.get_running_loop().getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if not self._private and not all(map(is_public, addresses)):
            raise NotPublic
        for address in addresses[:-1]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.NetworkError:
                continue
        return await self._inner.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)


def answer_of(task: Future[Answer]) -> Answer:
    """The answer of a message that has ended, also where sending failed by a defect: the others must still be noted."""
    if task.cancelled():
        return Answer("the gateway stopped before an answer came")
    if (defect := task.exception()) is not None:
        logger.error("a webhook cannot be sent", exc_info=defect)
        return Answer("it cannot be sent: a defect of this service")
    return task.result()


def _headers(message: Message) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in message.headers.items()]
