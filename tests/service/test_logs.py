"""One line of JSON per event, with the request and the job that it tells of, and without words of requests."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service.logs import begin_request
from service.settings import Settings
from tests.service.calls import generate, settled, wait_until
from tests.service.hand import Hand, gateway_of
from tests.service.test_server import gateway_process
from workers.log_lines import JsonLines, context, formatter

Lines = list[dict[str, Any]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What the service logs from now on."""
    written: Lines = []
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    monkeypatch.setattr(handler, "emit", lambda record: written.append(json.loads(handler.format(record))))
    logger = logging.getLogger("service")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield written
    logger.removeHandler(handler)


def test_a_job_can_be_followed_by_its_id(client: TestClient, hand: Hand, lines: Lines) -> None:
    accepted = generate(client, prompt="very private words")
    hand.finish(hand.take_generation(hold=False), hint=False)
    wait_until(lambda: settled(client, accepted["id"]))
    other = generate(client)
    client.post(f"/generations/{other['id']}/cancel", headers={"x-request-id": "mine"})
    client.delete(f"/generations/{other['id']}")

    def told(job: str) -> list[tuple[str, int | None]]:
        about = [line for line in lines if line.get("job") == job and line["message"] != "request"]
        assert all(line["kind"] == "generate" for line in about)
        return [(line["message"], line["attempt"]) for line in about]

    assert told(accepted["id"]) == [("accepted", 1), ("settled", 1)]
    assert told(other["id"]) == [("accepted", 1), ("canceled", 1), ("deleted", 1)]
    (canceled,) = [line for line in lines if line["message"] == "canceled"]
    assert canceled["request_id"] == "mine"
    requests = [line for line in lines if line["message"] == "request" and line.get("job") == other["id"]]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/generations/{id}/cancel", 200),
        ("DELETE", "/generations/{id}", 204),
    ]
    assert "private" not in json.dumps(lines)
    assert str(client.headers["authorization"]).rpartition("_")[2] not in json.dumps(lines)


@pytest.mark.parametrize("own", ["a", "0af7651916cd43dd-8448eb211c80319c", "Root=1-67891233-abcdef012345678912345678", "x" * 128])
def test_a_request_id_is_taken_over(shared: TestClient, own: str, lines: Lines) -> None:
    assert shared.get("/models", headers={"x-request-id": own}).headers["x-request-id"] == own
    assert [line["request_id"] for line in lines] == [own]


@pytest.mark.parametrize("own", ["", "two words", 'a"b', "x" * 129, "é".encode(), "\x07"])
def test_or_made_where_it_is_none(shared: TestClient, own: str | bytes, lines: Lines) -> None:
    made = shared.get("/models", headers={b"x-request-id": own if isinstance(own, bytes) else own.encode()})
    assert re.fullmatch(r"[0-9a-f]{32}", made.headers["x-request-id"])
    assert [line["request_id"] for line in lines] == [made.headers["x-request-id"]]


def test_every_answer_has_one_and_each_its_own(shared: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [shared.get(path).headers["x-request-id"] for path in ("/models", "/nowhere", "/keys?a=1", "/docs", "/health/live")]
    ids.append(shared.put("/generate", json={}).headers["x-request-id"])
    ids.append(shared.post("/generate", content=b"x" * 2**20).headers["x-request-id"])
    ids.append(TestClient(shared.app).get("/models").headers["x-request-id"])
    assert len(set(ids)) == len(ids)


def test_a_defect_has_its_trace_under_the_id(client: TestClient, monkeypatch: pytest.MonkeyPatch, lines: Lines) -> None:
    monkeypatch.setattr(type(gateway_of(client).catalogue), "cards", lambda _: 1 / 0)
    quiet = TestClient(client.app, headers=dict(client.headers), raise_server_exceptions=False)
    answer = quiet.get("/models", headers={"x-request-id": "mine"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, "mine")
    (defect,) = [line for line in lines if "trace" in line]
    assert (defect["request_id"], defect["level"]) == ("mine", "ERROR")
    assert "ZeroDivisionError" in defect["trace"]


def test_a_line_is_a_line_whatever_is_in_it() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        record = logging.LogRecord("service", logging.ERROR, "", 0, "%s\n\u2028 \ud800", ("é",), sys.exc_info())
    record.odd = object()
    line = copy_context().run(lambda: (begin_request("mine"), formatter("json").format(record))[1])
    assert not context.get()
    assert len(line.splitlines()) == 1
    line.encode("ascii")
    assert json.loads(line)["request_id"] == "mine"


def test_lines_for_a_terminal_are_text(settings: Settings) -> None:
    with gateway_process(settings.model_copy(update={"log_format": "text"})) as (url, server):
        made = httpx.get(f"{url}/models").headers["x-request-id"]
        server.terminate()
        assert server.stderr is not None
        text = server.stderr.read()
    assert f" INFO service.http.access: request [request_id={made} method=GET route=/models status=401 " in text


def test_a_gateways_lines_are_all_json(settings: Settings) -> None:
    """From the moment that it serves, the server's own too; one line a request."""
    with gateway_process(settings) as (url, server):
        key = settings.operator_key_path.read_text().strip()
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
            made = client.post("/generate?dry_run=true", json={"prompt": "private words"}).headers["x-request-id"]
            assert client.get("/nowhere?private=words").status_code == 404
        server.terminate()
        assert server.stderr is not None
        text = server.stderr.read()
    told = [json.loads(line) for line in text.splitlines() if not line.startswith("INFO:     ")]  # before and after
    assert [line["route"] for line in told if line["message"] == "request"] == ["/generate", "unmatched"]
    assert [line["request_id"] for line in told if line.get("route") == "/generate"] == [made]
    assert {line["logger"] for line in told} >= {"service.http.access", "uvicorn.error"}
    assert "private" not in text
