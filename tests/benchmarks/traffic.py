"""Requests over HTTP from so many connections at once, and how long each took."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.servers import Server

REQUEST_SECONDS = 60


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    body: Mapping[str, Any] | None = None
    status: int = 200  # what is expected; anything else ends the run

    def send(self, connection: HTTPConnection, headers: Mapping[str, str]) -> dict[str, Any]:
        content = None if self.body is None else json.dumps(self.body).encode()
        connection.request(self.method, self.path, content, {**headers, "content-type": "application/json"})
        response = connection.getresponse()
        text = response.read()
        if response.status != self.status:
            raise RuntimeError(f"{self.method} {self.path}: {response.status} {text[:500].decode(errors='replace')}")
        return dict(json.loads(text))


@dataclass
class Timing:
    """Of one kind of request: its latencies, the seconds from the first to the last, and the processor's time that they took the
    server. Rounds add up."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, latencies: Sequence[float], seconds: float, *, cpu_seconds: float) -> None:
        self.latencies += latencies
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def cpu_milliseconds(self) -> float:
        """A request."""
        return 1000 * self.cpu_seconds / len(self.latencies)

    def quantile(self, share: float) -> float:
        """Seconds; the value that this share of all does not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Client:
    """Keeps its connections while it sends, as a client that sends much does. Between two rounds the server may have closed one
    that was idle; each round begins with new ones."""

    def __init__(self, server: Server, *, connections: int = 1) -> None:
        self._server = server
        self._headers = server.headers
        self._connections = [HTTPConnection(urlsplit(server.url).netloc, timeout=REQUEST_SECONDS) for _ in range(connections)]

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.close()

    def send(self, request: Request) -> dict[str, Any]:
        self._connections[0].close()  # it opens itself again
        return request.send(self._connections[0], self._headers)

    def drive(self, requests: Sequence[Request], into: Timing) -> None:
        """Sends all, on every connection one after the other."""
        waiting = iter(requests)
        taking = threading.Lock()

        def following() -> Request | None:
            with taking:
                return next(waiting, None)

        for connection in self._connections:
            connection.close()
        began, cpu_began = time.perf_counter(), self._server.cpu_seconds()
        with ThreadPoolExecutor(len(self._connections)) as pool:
            done = [pool.submit(self._one_after_another, connection, following) for connection in self._connections]
            latencies = [taken for future in done for taken in future.result()]
        into.add(latencies, time.perf_counter() - began, cpu_seconds=self._server.cpu_seconds() - cpu_began)

    def _one_after_another(self, connection: HTTPConnection, following: Callable[[], Request | None]) -> list[float]:
        latencies = []
        while (request := following()) is not None:
            began = time.perf_counter()
            request.send(connection, self._headers)
            latencies.append(time.perf_counter() - began)
        return latencies
