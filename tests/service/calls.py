"""Calls and waits that many tests need."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from fastapi.testclient import TestClient

Found = TypeVar("Found")


def wait_until(condition: Callable[[], Found | bool | None], *, seconds: float = 8.0) -> Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return cast(Found, found)
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


def generate(client: TestClient, **fields: Any) -> dict[str, Any]:
    response = client.post("/generate", json={"prompt": "a parachute", **fields})
    assert response.status_code == 202, response.text
    return cast(dict[str, Any], response.json())


def train(client: TestClient, concept: str = "golf ball", **fields: Any) -> dict[str, Any]:
    response = client.post("/erasers", json={"concept": concept, **fields})
    assert response.status_code == 202, response.text
    return cast(dict[str, Any], response.json())


def settled(client: TestClient, generation_id: str) -> dict[str, Any] | None:
    """The generation, once it has ended. From the list, so that the call itself settles nothing."""
    page = client.get("/generations", params={"limit": 100}).json()["data"]
    found = next(item for item in page if item["id"] == generation_id)
    return found if found["status"] in ("succeeded", "failed", "canceled") else None


def code(response: Any) -> str:
    return cast(str, response.json()["error"]["code"])
