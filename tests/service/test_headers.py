"""A header that has one value and comes twice is refused by every call, and nothing acts on either value."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from service.http.headers import SINGLE
from tests.service.calls import generate

VALUES = {"content-type": "application/json", "content-length": "22", "last-event-id": "1-0", "idempotency-key": "mine"}
BODY = b'{"prompt": "a church"}'


@pytest.mark.parametrize("other", ["same", "another"])
@pytest.mark.parametrize("name", sorted(SINGLE))
@pytest.mark.parametrize("path", ["/generate", "/v1/videos"])
def test_it_is_refused_whatever_the_values_are(client: TestClient, path: str, name: str, other: str) -> None:
    value = VALUES.get(name, client.headers.get(name, "mine"))
    headers = [("content-type", "application/json"), ("content-length", str(len(BODY))), (name.title(), value)]
    headers = [header for header in headers[:2] if header[0] != name] + [headers[2]]
    assert client.post(path, content=BODY, headers=headers).is_success
    refused = client.post(path, content=BODY, headers=[*headers, (name, value if other == "same" else "text/html")])
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["param"]) == (400, "repeated_header", name)
    assert error["type"] == "invalid_request_error"
    assert len(client.get("/generations").json()["data"]) == 1


def test_it_is_refused_before_anything_else_is_looked_at(client: TestClient) -> None:
    twice = [("authorization", "Bearer ck_nobody"), ("authorization", str(client.headers["authorization"]))]
    calls = (("GET", "/models"), ("GET", "/nowhere"), ("BREW", "/generate"), ("GET", "/health/live"), ("GET", "/metrics"))
    for method, path in calls:
        assert client.request(method, path, headers=twice).json()["error"]["code"] == "repeated_header"
    made = client.get("/models", headers=[("x-request-id", "a"), ("x-request-id", "b")])
    assert made.status_code == 400
    assert made.headers["x-request-id"] not in ("a", "b")


def test_lists_may_come_in_parts(client: TestClient) -> None:
    made = generate(client)["id"]
    accepted = [("accept", "text/html"), ("accept", "application/json"), ("x-forwarded-for", "a"), ("x-forwarded-for", "b")]
    assert client.get(f"/generations/{made}", headers=accepted).is_success


def test_the_document_has_it_for_every_call(shared: TestClient) -> None:
    for path, methods in shared.get("/openapi.json").json()["paths"].items():
        for method, call in methods.items():
            assert "`repeated_header`" in call["responses"]["400"]["description"], (method, path)
