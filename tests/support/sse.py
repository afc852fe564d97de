"""Server-sent events from a text, as the client reads them from a response."""

from __future__ import annotations

import httpx
import httpx_sse

from service.client import Event, read_events


def read_stream(text: str) -> list[Event]:
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=text.encode())
    return list(read_events(httpx_sse.EventSource(response)))
