"""Readiness tells whether the store takes values, without filling it, and asks it no more often than is needed."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from service.readiness import BAD_SECONDS, GOOD_SECONDS, KEY, StoreProbe
from tests.s3_server import READER_KEY_ID, READER_SECRET, S3Server
from tests.service.calls import wait_until
from tests.service.hand import Hand
from workers.store.artifacts import ArtifactStore, DirectoryStore, S3Access, StoreRefuses, open_store


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Counting(DirectoryStore):
    """Notes when it is written to; `before_put` runs first."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.written: list[str] = []
        self.before_put: Callable[[], None] = lambda: None

    def put(self, key: str, data: bytes) -> None:
        self.before_put()
        self.written.append(key)
        super().put(key, data)


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    store = Counting(tmp_path / "artifacts")
    store.put("models/toy/card.json", b"{}")
    store.written.clear()
    return store


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_a_store_that_takes_values_is_ready_and_left_as_it_was(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    store: ArtifactStore
    if kind == "s3":
        store = open_store(f"s3://{request.getfixturevalue('bucket')}", request.getfixturevalue("s3_server").access)
    else:
        store = open_store(str(tmp_path / "artifacts"))
    store.put("models/toy/card.json", b"{}")
    assert StoreProbe(store).writable()
    assert store.list("") == ["models/toy/card.json"]


def test_a_bucket_that_can_only_be_read_is_not_ready(s3_server: S3Server, bucket: str) -> None:
    open_store(f"s3://{bucket}", s3_server.access).put("models/toy/card.json", b"{}")
    access = S3Access(s3_server.endpoint, access_key_id=READER_KEY_ID, secret_access_key=READER_SECRET)
    reader = open_store(f"s3://{bucket}", access)
    assert reader.list("models"), "reading works"
    assert not StoreProbe(reader).writable()


def test_an_answer_lasts_some_seconds(counting: Counting) -> None:
    clock = Clock()
    probe = StoreProbe(counting, clock=clock)
    assert all(probe.writable() for _ in range(100))
    assert counting.written == [KEY]
    blocked = counting.root / "health"
    shutil.rmtree(blocked)
    blocked.touch()
    clock.now = GOOD_SECONDS
    assert not any(probe.writable() for _ in range(100))
    assert counting.written == [KEY] * 2
    blocked.unlink()
    clock.now += BAD_SECONDS
    assert probe.writable()


def test_a_slow_store_holds_one_caller_at_most(counting: Counting) -> None:
    probe = StoreProbe(counting)
    writing, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        writing.set()
        assert go_on.wait(10)

    counting.before_put = wait
    first = threading.Thread(target=probe.writable)
    first.start()
    assert writing.wait(10)
    assert not probe.writable(), "nothing is known yet, and it does not wait"
    go_on.set()
    first.join()
    assert probe.writable()


def test_an_unused_store_gets_no_mark(tmp_path: Path) -> None:
    """It may be the place of a file system that is mounted a moment later."""
    assert StoreProbe(DirectoryStore(tmp_path / "artifacts")).writable()
    assert list(tmp_path.iterdir()) == []


def test_health_says_that_the_store_cannot_be_written(client: TestClient, store: ArtifactStore, hand: Hand) -> None:
    hand.be_seen()
    assert isinstance(store, DirectoryStore)
    store.put("models/toy/card.json", b"{}")
    (store.root / "health").touch()
    with pytest.raises(StoreRefuses):
        store.put(KEY, b"")
    response = client.get("/health/ready")
    assert (response.status_code, response.json()["checks"]["artifacts"]) == (503, "missing")
    (store.root / "health").unlink()
    wait_until(lambda: client.get("/health/ready").json()["checks"]["artifacts"] == "ok")


def test_a_slash_too_many_is_not_found_and_no_address_repeats_the_host(client: TestClient) -> None:
    outside = TestClient(client.app, follow_redirects=False, base_url="http://evil.example")
    for path in ("/generations/", "/generate/", "/health/live/", "/docs/", "/docs/assets"):
        answer = outside.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found"), path
        assert "evil.example" not in answer.text + str(answer.headers)
    assert outside.get("/").headers["location"] == "/docs"
