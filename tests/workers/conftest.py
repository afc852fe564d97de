"""Real parts, small: Valkey in a process of its own, tiny models of both families, erasers trained on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

import erasers
from tests.s3_server import S3Server
from tests.workers import tiny_models
from tests.workers.parts import Valkey, train_lantern
from workers.attempts import connection
from workers.attempts.presence import Presence, new_worker_name
from workers.contract import WorkerKind
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place
from workers.residency.eraser_cache import EraserCache
from workers.residency.fallbacks import Fallbacks
from workers.residency.resident import Resident, install
from workers.settings import WorkerSettings
from workers.store.artifacts import DirectoryStore, S3Access


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    yield server
    server.kill()


@pytest.fixture
def mortal_valkey(tmp_path: Path) -> Iterator[Valkey]:
    """One of its own, for tests that kill it."""
    server = Valkey(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def redis(valkey: Valkey) -> Iterator[Redis]:
    client = connection.brisk(valkey.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def wan_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_wan(tmp_path_factory.mktemp("models") / "tiny-wan")


@pytest.fixture(scope="session")
def cogvideox_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.save_cogvideox(tmp_path_factory.mktemp("models") / "tiny-cogvideox")


@pytest.fixture(scope="session")
def wan(wan_directory: Path) -> VideoPipeline:
    return load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu"))


@pytest.fixture(scope="session")
def cogvideox(cogvideox_directory: Path) -> VideoPipeline:
    return load_directory(cogvideox_directory, model_id="tiny-cogvideox", placement=place("cpu"))


@pytest.fixture(scope="session", params=["wan", "cogvideox"])
def pipeline(request: pytest.FixtureRequest) -> VideoPipeline:
    found: VideoPipeline = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def wan_eraser(wan: VideoPipeline) -> erasers.Eraser:
    return train_lantern(wan)


@pytest.fixture(scope="session")
def cogvideox_eraser(cogvideox: VideoPipeline) -> erasers.Eraser:
    return train_lantern(cogvideox)


@pytest.fixture
def eraser(pipeline: VideoPipeline, request: pytest.FixtureRequest) -> erasers.Eraser:
    """The one that belongs to `pipeline`."""
    found: erasers.Eraser = request.getfixturevalue(f"{pipeline.card().family}_eraser")
    return found


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


@pytest.fixture
def settings(tmp_path: Path, valkey: Valkey) -> WorkerSettings:
    """With a lease that outlasts a test: nothing beats here, and a machine that is busy takes its time."""
    return WorkerSettings(data_dir=tmp_path, redis_url=valkey.url, evaluation_clips=2, lease_seconds=600)


@pytest.fixture
def make_resident(redis: Redis, store: DirectoryStore, settings: WorkerSettings) -> Iterator[Callable[..., Resident]]:
    def make(pipeline: VideoPipeline, kind: WorkerKind = "generate") -> Resident:
        resident = Resident(
            kind=kind,
            settings=settings,
            redis=redis,
            store=store,
            pipeline=pipeline,
            erasers=EraserCache(store, fingerprint=pipeline.fingerprint, device=pipeline.device, max_bytes=1 << 30),
            fallbacks=Fallbacks(pipeline),
            presence=Presence(redis, name=new_worker_name(kind), kind=kind, model=pipeline.card().id),
        )
        install(resident)
        return resident

    yield make
    install(None)


@pytest.fixture(params=["directory", "s3"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return str(tmp_path / "artifacts")
    return f"s3://{request.getfixturevalue('bucket')}/some/prefix"


@pytest.fixture
def access(store_url: str, request: pytest.FixtureRequest) -> S3Access:
    server: S3Server | None = request.getfixturevalue("s3_server") if store_url.startswith("s3:") else None
    return server.access if server else S3Access()
