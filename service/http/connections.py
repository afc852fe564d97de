"""How many connections a gateway holds, and how long a connection may take to send the head of a request.

A proxy in front of a gateway usually does this too; a gateway without one must not be stopped by clients that open connections
and send nothing. Bodies have a deadline of their own (`service.http.body_limit`).
"""

from __future__ import annotations

import asyncio
import resource
from dataclasses import dataclass
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

RESERVED_DESCRIPTORS = 128
"""For the database, Redis, the artifact store and log files."""
_DESCRIPTORS_WANTED = 65_536
_TIMEOUT_ANSWER = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n"
    b"content-length: 40\r\n\r\nthe head of the request came too slowly\n"
)


@dataclass(frozen=True)
class ConnectionLimits:
    max_connections: int
    header_timeout_seconds: float

    @property
    def backlog(self) -> int:
        """For `uvicorn.Config(backlog=…)`: asyncio accepts as many connections at once before it closes any."""
        return max(8, min(2048, self.max_connections // 3))


def raise_descriptor_limit() -> None:
    """Raise this process's limit of open files as far as it may go by itself."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_WANTED)
    if descriptor_limit() < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptor_limit() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _DESCRIPTORS_WANTED if soft == resource.RLIM_INFINITY else soft


def connections_for(descriptors: int) -> int:
    """How many connections a process with this many file descriptors can hold.

    Every second one may be an event stream, which needs another descriptor to wait at Redis.
    """
    return max(16, (descriptors - RESERVED_DESCRIPTORS) * 2 // 3)


def guarded(limits: ConnectionLimits) -> type[HttpToolsProtocol]:
    """The HTTP protocol of the server with these limits, for `uvicorn.Config(http=…)`."""

    class Guarded(GuardedProtocol):
        limits: ClassVar[ConnectionLimits]

    Guarded.limits = limits
    return Guarded


class GuardedProtocol(HttpToolsProtocol):
    """Closes connections that wait too long with the head of a request, and the longest waiting ones where there are too many."""

    limits: ClassVar[ConnectionLimits]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def waiting_since(self) -> float | None:
        """When the wait for a request's head began; None while a request is being answered."""
        return None if self._deadline is None else self._deadline.when() - self.limits.header_timeout_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > self.limits.max_connections:
            self._close_longest_waiting()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.cycle.response_complete and not self.transport.is_closing():  # no pipelined request follows
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._stop_waiting()
        self._deadline = self.loop.call_later(self.limits.header_timeout_seconds, self._too_late)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.write(_TIMEOUT_ANSWER)
            self.transport.close()

    def _close_longest_waiting(self) -> None:
        """Make room for a new connection. Requests under way are never cut off: where all are busy, the new one is closed."""
        waiting = [one for one in self.connections if isinstance(one, GuardedProtocol) and one.waiting_since is not None]
        oldest = min(waiting, key=lambda one: one.waiting_since or 0.0, default=self)
        oldest._stop_waiting()
        self.connections.discard(oldest)  # at once, and not when the loop comes to it: several may arrive before that
        oldest.transport.abort()
