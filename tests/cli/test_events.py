"""Server-sent events, and a stream that breaks in the middle."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from service.client import ApiError, Client, Event, ProxyUnusable, ServiceUnreachable
from tests.support.sse import read_stream


def test_an_event_ends_at_a_blank_line_and_comments_are_skipped() -> None:
    lines = ["event: step", "id: 1-0", 'data: {"step": 1,', 'data: "total": 4}', "", ": ping", "", "data: {}", "", "event: lost"]
    assert read_stream("\n".join(lines)) == [Event("step", {"step": 1, "total": 4}, "1-0"), Event("message", {}, "1-0")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_feeds_and_carriage_returns_end_a_line(separator: str) -> None:
    data = {"prompt": f"a cat{separator}a dog"}
    if separator >= " ":  # the others are escaped in JSON
        assert separator in json.dumps(data, ensure_ascii=False)
    assert read_stream(f"event: step\r\ndata: {json.dumps(data, ensure_ascii=False)}\r\n\r\n") == [Event("step", data, "")]


class BreakingService(BaseHTTPRequestHandler):
    """Sends one step per connection and hangs up; the job is finished after the third connection."""

    resumed_from: list[str | None]

    def do_GET(self) -> None:
        if self.path.endswith("/events"):
            self.resumed_from.append(self.headers["Last-Event-ID"])
            step = len(self.resumed_from)
            self._send(200, "text/event-stream", f'event: step\nid: {step}-0\ndata: {{"step": {step}}}\n\nevent: st')
        elif self.path == "/generations/gone":
            error = {"code": "not_found", "message": "no such generation", "param": None, "type": "not_found_error"}
            self._send(404, "application/json", json.dumps({"error": error}))
        elif self.path == "/health/ready":
            self._send(502, "text/html", "<h1>Bad Gateway</h1>")
        else:
            self._send(200, "application/json", json.dumps({"status": "running" if len(self.resumed_from) < 3 else "succeeded"}))

    def _send(self, status: int, kind: str, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the library's
        """Not into the test's output."""


@pytest.fixture
def service() -> Iterator[str]:
    BreakingService.resumed_from = []
    with ThreadingHTTPServer(("127.0.0.1", 0), BreakingService) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_broken_stream_is_taken_up_where_it_ended(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client._RECONNECT_SECONDS", 0.01)
    with Client(service, "key") as client:
        steps = [event.data["step"] for event in client.follow_generation("g")]
    assert steps == [1, 2, 3]
    assert BreakingService.resumed_from == [None, "1-0", "2-0"]


def test_an_error_body_becomes_an_error_with_its_code(service: str) -> None:
    with Client(service, "key") as client, pytest.raises(ApiError, match="no such generation") as refused:
        client.generation("gone")
    assert (refused.value.code, refused.value.status) == ("not_found", 404)


def test_an_answer_that_is_not_of_this_service_is_an_error_too(service: str) -> None:
    with Client(service, "key") as client, pytest.raises(ApiError, match="HTTP 502: <h1>Bad Gateway") as refused:
        client.ready()
    assert refused.value.code == "unexpected_answer"


@pytest.fixture
def odd_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies that no call can go through: one that refuses, one of a kind that needs another package, and no list of hosts."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "[::1")


@pytest.mark.usefixtures("odd_proxies")
def test_proxies_of_the_environment_are_ignored_on_this_machine_and_honoured_elsewhere(service: str) -> None:
    with Client(service, "key") as client:
        assert client.generation("g")["status"] == "running"
    with pytest.raises(ProxyUnusable, match="proxy settings of the environment"):
        Client("http://clearway.example:8000", "key")


def test_a_usable_proxy_is_used_for_another_machine(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", service)  # answers every path, as a proxy is asked for a whole address
    with Client("http://clearway.example:8000", "key") as client:
        assert client.generation("g")["status"] == "running"


def test_a_service_that_is_not_there_is_named_with_the_cure() -> None:
    with Client("http://127.0.0.1:9", "key") as client, pytest.raises(ServiceUnreachable, match="clearway up"):
        client.generation("g")
