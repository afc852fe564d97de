"""Whatever is sent, within the OpenAPI document or against it: no defect answers, and nothing that the document does not tell."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import requests
import schemathesis
import uvicorn
from fastapi.testclient import TestClient
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi import checks

from service.app import create_app
from service.erasers.seed import take_in
from service.settings import Settings
from tests.service.calls import generate, settled, wait_until
from tests.service.hand import CARD, Hand, gateway_of
from tests.service.test_seed import ship
from tests.service.test_server import free_port
from workers.store.artifacts import open_store

CHECKS: Any = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]

schemathesis.serializer.alias("application/x-tar", "application/octet-stream")

few = hypothesis.settings(
    max_examples=5,  # a call, a mode, and existing or invented things; the same in every run of one revision
    derandomize=True,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture
def live(settings: Settings, tmp_path: Path) -> Iterator[tuple[str, TestClient]]:
    """A server with the app in its own loop, and a client of the same app without one."""
    open_store(settings.artifacts_url).put("models/toy.json", CARD.model_dump_json().encode())
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="critical"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    client = TestClient(app, headers={"authorization": f"Bearer {settings.operator_key_path.read_text().strip()}"})
    gateway = gateway_of(client)
    with gateway.database.exclusive() as session:
        take_in(session, gateway.store, ship(tmp_path / "shipped", "church"), model="toy")
    yield f"http://127.0.0.1:{server.config.port}", client
    server.should_exit = True
    thread.join()


def finished(client: TestClient, hand: Hand) -> str:
    made: str = generate(client, erase=["church"])["id"]
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, made))
    return made


def things(client: TestClient, generations: list[str], operation: Any) -> Iterator[dict[str, Any] | None]:
    """Path parameters of something that is there, then any."""
    if "{id}" in operation.path and operation.path.startswith(("/generations", "/v1/videos")):
        yield {"id": generations.pop()}
    elif operation.path.startswith("/erasers/{concept}"):
        yield {"concept": "church", "version": 1}
    elif operation.path == "/keys/{id}":
        yield {"id": client.post("/keys", json={"name": "a"}).json()["id"]}
    elif operation.path == "/aliases/{alias}":
        assert client.put("/aliases/kirk", json={"concept": "church"}).is_success
        yield {"alias": "kirk"}
    elif operation.path == "/policies/{name}":
        assert client.put("/policies/house", json={}).is_success
        yield {"name": "house"}
    elif operation.path == "/gates/{concept}":
        assert client.put("/gates/church", json={"max_erased": 0.5}).is_success
        yield {"concept": "church"}
    elif operation.path == "/v1/models/{id}":
        yield {"id": "toy"}
    yield None


def test_every_call_answers_as_documented(live: tuple[str, TestClient], hand: Hand) -> None:
    url, client = live
    generations = [finished(client, hand) for _ in range(12)]  # first: policies that are put later may refuse everything
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    failures: list[str] = []
    sent = 0
    with requests.Session() as session:
        session.headers["authorization"] = client.headers["authorization"]

        def check(case: Case) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(session=session, checks=CHECKS, timeout=30)

        for result in schema.get_all_operations():
            operation = result.ok()
            hand.be_seen()  # or the service would not be ready
            for parameters in things(client, generations, operation):
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    cases = operation.as_strategy(generation_mode=mode, path_parameters=parameters)
                    try:
                        few(hypothesis.given(cases)(check))()
                    except Unsatisfiable:  # a call without parameters cannot be called wrongly
                        continue
                    except FailureGroup as group:
                        failures += [f"{operation.label}: {failure}" for failure in group.exceptions]
    assert not failures, "\n\n".join(failures)
    assert sent > 300
