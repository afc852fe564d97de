"""Who calls is known, and counted, before a body is read; what is too much is refused before it is looked at."""

from __future__ import annotations

import errno
import pkgutil
import unicodedata
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.testclient import TestClient

import service.routes
from service.domain.text import normalise_concept
from service.errors import LimitError, RequestError
from service.http.body import StrictRoute
from service.http.events import StreamLimits
from service.http.handlers import error_body
from tests.service.calls import code
from tests.service.hand import gateway_of
from workers.store.artifacts import StoreAway

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/generate", "/erasers", "/v1/videos", "/keys"])
@pytest.mark.parametrize("key", [None, "ck_000000000000_" + "0" * 64])
def test_a_body_without_a_key_is_not_parsed(shared: TestClient, path: str, key: str | None) -> None:
    nobody = TestClient(shared.app, headers={"authorization": f"Bearer {key}"} if key else {})
    assert code(nobody.post(path, content=b"{", headers=JSON)) == "unauthorized"
    assert code(shared.post(path, content=b"{", headers=JSON)) == "invalid_json"  # with one it is


def test_refused_calls_count_against_the_rate_of_the_key(client: TestClient) -> None:
    made = client.post("/keys", json={"name": "clumsy", "limits": {"requests_per_minute": 3}}).json()["key"]
    clumsy = TestClient(client.app, headers={"authorization": f"Bearer {made}"})
    refusals = [code(clumsy.post("/generate", json={"prompt": ""})) for _ in range(5)]
    assert refusals == ["empty_prompt"] * 3 + ["rate_limited"] * 2
    assert [code(client.post("/generate", json={"prompt": ""})) for _ in range(5)] == ["empty_prompt"] * 5  # has no limit


def test_accepted_calls_count_once(client: TestClient) -> None:
    made = client.post("/keys", json={"name": "busy", "limits": {"requests_per_minute": 3}}).json()["key"]
    busy = TestClient(client.app, headers={"authorization": f"Bearer {made}"})
    assert [busy.post("/generate", json={"prompt": "a church"}).status_code for _ in range(4)] == [202, 202, 202, 429]
    assert [busy.post("/generate?dry_run=true", json={"prompt": "a church"}).status_code for _ in range(4)] == [200] * 4


@pytest.mark.parametrize(
    ("expected", "path", "body"),
    [
        ("too_many_concepts", "/generate", {"prompt": "a", "erase": [None] * 17}),
        ("invalid_metadata", "/generate", {"prompt": "a", "metadata": {str(i): i for i in range(17)}}),
        ("prompt_too_long", "/generate", {"prompt": "\0" * 2001}),
        ("invalid_pairs", "/erasers", {"concept": "a", "pairs": [None] * 5001}),
    ],
)
def test_items_are_counted_before_they_are_looked_at(shared: TestClient, expected: str, path: str, body: Any) -> None:
    """Each item alone would be refused with another code."""
    assert code(shared.post(path, json=body)) == expected


def test_a_name_is_measured_before_it_is_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    database = SimpleNamespace(category=unicodedata.category, normalize=lambda form, text: pytest.fail(f"{len(text)} characters"))
    monkeypatch.setattr("service.domain.text.unicodedata", database)
    with pytest.raises(ValueError, match="no concept name"):
        normalise_concept("ﷺ" * 100_000)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "latin-1"])
def test_json_is_utf_8(shared: TestClient, encoding: str) -> None:
    refused = shared.post("/generate", content='{"prompt": "café"}'.encode(encoding), headers=JSON)
    assert (refused.status_code, code(refused)) == (400, "invalid_json")
    assert shared.post("/generate?dry_run=true", content='{"prompt": "café"}'.encode(), headers=JSON).status_code == 200


def test_a_message_that_repeats_what_was_sent_is_cut_short() -> None:
    message = error_body(RequestError("invalid_request", "x" * 100_000)).error.message
    assert message.startswith("xxx")
    assert message.endswith("… (100000 characters)")
    assert len(message) < 2_100
    assert error_body(RequestError("invalid_request", "x" * 2_000)).error.message == "x" * 2_000


def test_large_bodies_are_parsed_in_a_thread(shared: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    async def in_a_thread(call: Any, body: bytes) -> Any:
        threads.append(len(body))
        return call(body)

    monkeypatch.setattr("service.http.body.run_in_threadpool", in_a_thread)
    shared.post("/erasers", json={"concept": "a", "description": "x" * 100})
    assert threads == []
    shared.post("/erasers", json={"concept": "a", "description": "x" * 100_000})
    assert len(threads) == 1


def test_every_route_that_reads_json_reads_it_strictly() -> None:
    modules = [import_module(f"service.routes.{found.name}") for found in pkgutil.iter_modules(service.routes.__path__)]
    routes = [route for module in modules for route in module.router.routes]
    with_body = [route for route in routes if getattr(route, "body_field", None) is not None]
    assert len(with_body) > 8
    assert [route.path for route in with_body if not isinstance(route, StrictRoute)] == []


@pytest.mark.parametrize(
    ("number", "expected"), [(errno.EMFILE, "overloaded"), (errno.ENFILE, "overloaded"), (errno.EIO, "artifact_unavailable")]
)
def test_a_process_without_descriptors_does_not_blame_the_store(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, number: int, expected: str
) -> None:
    def failing(*_: object) -> None:
        try:
            raise OSError(number, "no")
        except OSError as error:
            raise StoreAway("the artifact store does not answer") from error

    monkeypatch.setattr(type(gateway_of(client).catalogue), "cards", failing)
    assert code(client.get("/models")) == expected


def test_a_lack_of_descriptors_that_the_store_lets_through_is_told_apart_from_a_defect(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet = TestClient(client.app, headers=dict(client.headers), raise_server_exceptions=False)
    for number, expected in ((errno.EMFILE, "overloaded"), (errno.EIO, "internal_error")):

        def failing(*_: object, number: int = number) -> None:
            raise OSError(number, "no")

        monkeypatch.setattr(type(gateway_of(client).catalogue), "cards", failing)
        assert code(quiet.get("/models")) == expected


@pytest.mark.parametrize("invisible", ["\u034f", "\ufe0f", "\u3164", "\u200b", "\u00ad", "\U000e0100", "\u115f"])
def test_a_name_has_no_character_that_nobody_sees(shared: TestClient, invisible: str) -> None:
    refused = shared.post("/generate", json={"prompt": "a", "erase": [f"chur{invisible}ch"]})
    assert code(refused) in ("invalid_concept", "invalid_text")
    assert shared.post("/generate?dry_run=true", json={"prompt": "a", "erase": ["church"]}).status_code == 200


def test_streams_of_a_key_and_of_a_job_are_bounded(client: TestClient) -> None:
    events = gateway_of(client).events
    events._limits = StreamLimits(total=4, per_key=3, per_job=2)
    opened = [events.respond("gen_1", key_id="a", last_event_id=None, look=lambda: None) for _ in range(2)]
    opened.append(events.respond("gen_2", key_id="a", last_event_id=None, look=lambda: None))
    job = client.post("/generate", json={"prompt": "a church"}).json()["id"]
    for key, job_id, holder in (("a", "gen_1", "for this job|this key"), ("a", "gen_3", "this key has 3")):
        with pytest.raises(LimitError, match=holder):
            events.respond(job_id, key_id=key, last_event_id=None, look=lambda: None)
    opened.append(events.respond("gen_1", key_id="b", last_event_id=None, look=lambda: None))
    refused = client.get(f"/generations/{job}/events")
    assert (refused.status_code, code(refused)) == (429, "too_many_streams")
