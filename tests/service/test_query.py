"""What a call does not know of its query is refused, whichever call it is, and so is what is said twice."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from tests.service.calls import code


def every_call(client: TestClient) -> list[tuple[str, str, list[str]]]:
    """Method, a path, and the names of its query parameters. HEAD, whose errors have no body, is another word for GET."""
    found = []
    for template, methods in client.get("/openapi.json").json()["paths"].items():
        path = re.sub(r"{(\w+)}", lambda match: "1" if match[1] == "version" else "a", template)
        for method, call in methods.items():
            if method == "head":
                assert call["parameters"] == methods["get"]["parameters"]
                continue
            names = [parameter["name"] for parameter in call.get("parameters", ()) if parameter["in"] == "query"]
            found.append((method, path, names))
    return found


def test_no_call_takes_a_parameter_that_it_does_not_document(shared: TestClient) -> None:
    calls = every_call(shared)
    assert len(calls) > 30
    for method, path, names in calls:
        refused = shared.request(method, path, params={"dryrun": "true"})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (422, "unknown_field", "dryrun"), (method, path)
        assert all(name in error["message"] for name in names)


def test_no_call_takes_a_parameter_twice(shared: TestClient) -> None:
    """Also where both times say the same."""
    tried = 0
    for method, path, names in every_call(shared):
        for name in names:
            for values in (("1", "1"), ("1", "2")):
                refused = shared.request(method, path, params=[(name, value) for value in values])
                error = refused.json()["error"]
                assert (refused.status_code, error["code"], error["param"]) == (422, "invalid_request", name), (method, path)
                tried += 1
    assert tried > 20


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?", None),
        ("?limit=1&", None),
        ("?LIMIT=1", "unknown_field"),
        ("?=", "unknown_field"),
        ("?limit=1;order=asc", "invalid_request"),
    ],
)
def test_spellings(shared: TestClient, query: str, expected: str | None) -> None:
    for path in ("/generations", "/v1/videos"):
        answer = shared.get(path + query)
        assert (None if answer.is_success else code(answer)) == expected, answer.text
