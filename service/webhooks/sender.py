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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

from service.domain.webhook_address import is_public

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Message:
    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What came of an attempt. `error` is for the client, and says nothing of what else is in this network."""

    error: str | None = None
    gone: bool = False
    """The receiver wants no more (410)."""


class NotPublic(Exception):
    """The host of a webhook resolves to an address that may not be called."""


class Sender:
    def __init__(self, *, timeout_seconds: float, private: bool, tls: ssl.SSLContext | None = None) -> None:
        """`private`: addresses that are not public may be called."""
        self.timeout_seconds = timeout_seconds
        self._network = _Network(private=private)
        self._tls = tls or httpx.create_ssl_context()

    def send_all(self, messages: Sequence[Message], stopping: threading.Event) -> list[Answer]:
        """All at once, an answer each, in order. What has no answer when the gateway stops is told so."""
        return asyncio.run(self._send_all(messages, stopping))

    async def _send_all(self, messages: Sequence[Message], stopping: threading.Event) -> list[Answer]:
        tasks = [asyncio.create_task(self._send(message)) for message in messages]
        pending: set[asyncio.Task[Answer]] = set(tasks)
        while pending and not stopping.is_set():
            _, pending = await asyncio.wait(pending, timeout=_LOOK_SECONDS)
        for task in pending:
            task.cancel()
        await asyncio.wait(tasks)
        return [_answer_of(task) for task in tasks]

    async def _send(self, message: Message) -> Answer:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                status = await self._post(message)
        except TimeoutError:
            return Answer(f"no answer within {self.timeout_seconds:g} s")
        except NotPublic:
            return Answer("its host resolves to an address that is not public")
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, UnicodeError) as error:
            return Answer(f"it cannot be reached: {type(error).__name__}")
        return Answer() if 200 <= status < 300 else Answer(f"it answered {status}", gone=status == 410)

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


def _answer_of(task: asyncio.Task[Answer]) -> Answer:
    """Also where sending failed as nobody foresaw: one message must not keep the others from being noted."""
    if task.cancelled():
        return Answer("the gateway stopped before an answer came")
    if (defect := task.exception()) is not None:
        logger.error("a webhook cannot be sent", exc_info=defect)
        return Answer("it cannot be sent: a defect of this service")
    return task.result()


def _headers(message: Message) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("ascii")) for name, value in message.headers.items()]
