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


def test_the_page_of_the_calls_needs_no_other_server(shared: TestClient) -> None:
    page = shared.get("/docs", headers={"host": "elsewhere.example"}).text
    addresses = re.findall(r"""(?:src|href)="([^"]+)"|url: '([^']+)'""", page)
    paths = [one or other for one, other in addresses]
    assert len(paths) >= 4
    for path in paths:
        assert path.startswith("/"), path
        assert shared.get(path).status_code == 200, path
    assert "elsewhere.example" not in page
    assert not re.search(r"https?://", page)


def test_the_root_leads_to_the_page(shared: TestClient) -> None:
    answer = shared.get("/", headers={"host": "elsewhere.example"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_examples_are_accepted(shared: TestClient) -> None:
    schemas = shared.get("/openapi.json").json()["components"]["schemas"]
    for example in schemas["GenerateRequest"]["examples"]:
        assert shared.post("/generate?dry_run=true", json=example).status_code in (200, 422)
    first, second = schemas["GenerateRequest"]["examples"]
    assert shared.post("/generate?dry_run=true", json=first).status_code == 200
    assert shared.post("/generate?dry_run=true", json=second).status_code == 200
