"""The README names every route and every setting; the OpenAPI document describes every call."""

from __future__ import annotations

import re
from pathlib import Path

from fastapi.testclient import TestClient

from service.settings import Settings

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


def test_every_route_is_in_the_readme_and_nothing_else(shared: TestClient) -> None:
    paths = shared.get("/openapi.json").json()["paths"]
    routes = {f"`{method.upper()} {path}`" for path, methods in paths.items() for method in methods}
    documented = {cell.strip() for line in README.splitlines() if line.startswith("| `") for cell in line.split("|")[1:2]}
    assert {cell for cell in documented if re.match("`[A-Z]+ /", cell)} == routes


def test_every_setting_is_in_the_readme() -> None:
    for name, field in Settings.model_fields.items():
        assert f"| `CLEARWAY_{name.upper()}` |" in README
        assert not field.description or field.description in README


def test_every_call_is_described_and_has_its_errors(shared: TestClient) -> None:
    paths = shared.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method, call in methods.items():
            assert call["summary"], (method, path)
            if not path.startswith("/health"):
                assert "401" in call["responses"], (method, path)
    assert shared.get("/docs").status_code == 200


def test_the_examples_are_accepted(shared: TestClient) -> None:
    schemas = shared.get("/openapi.json").json()["components"]["schemas"]
    for example in schemas["GenerateRequest"]["examples"]:
        assert shared.post("/generate?dry_run=true", json=example).status_code in (200, 422)
    first, second = schemas["GenerateRequest"]["examples"]
    assert shared.post("/generate?dry_run=true", json=first).status_code == 200
    assert shared.post("/generate?dry_run=true", json=second).status_code == 200
