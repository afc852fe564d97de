"""A whole installation as processes: Valkey, gateways, workers, trainers, started by the commands that `clearway gateway`,
`worker` and `trainer` become, as systemd or Kubernetes would."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import httpx
from redis import Redis
from redis.exceptions import RedisError

from service.embedded import commands
from service.erasers.seed import take_in
from service.store.database import Database
from tests.chaos.manager import Manager
from workers.contract import WorkerKind, lease_key, worker_key
from workers.store.artifacts import DirectoryStore

LEASE_SECONDS, LOST_AFTER_SECONDS, SWEEP_SECONDS = 4.0, 2.0, 0.5
"""Shorter than the defaults, in about the same proportions: what is lost is found sooner, and nothing else changes."""
PACE = {
    "CLEARWAY_LEASE_SECONDS": str(LEASE_SECONDS),
    "CLEARWAY_HEARTBEAT_SECONDS": "0.4",
    "CLEARWAY_LOST_AFTER_SECONDS": str(LOST_AFTER_SECONDS),
    "CLEARWAY_SWEEP_INTERVAL_SECONDS": str(SWEEP_SECONDS),
    "OMP_NUM_THREADS": "1",
}
READY_SECONDS = 240
"""For all parts to come up: workers import torch, on a machine that does other things."""


class Plant(Manager):
    def __init__(
        self,
        directory: Path,
        *,
        database_url: str,
        model: Path,
        gateways: int = 2,
        workers: int = 1,
        trainers: int = 0,
        artifacts: Path | None = None,
    ) -> None:
        self.directory = directory
        self.store_directory = artifacts or directory / "artifacts"
        self.ports = {f"gateway-{number}": _free_port() for number in range(1, gateways + 1)}
        self._database_url = database_url
        self._model = model
        self._expected: dict[WorkerKind, int] = {"generate": workers, "train": trainers}
        self._socket_folder = tempfile.TemporaryDirectory(prefix="clearway-", dir="/tmp")  # pytest's are too long for a socket
        self._socket = Path(self._socket_folder.name) / "v.sock"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLEARWAY_")}
        addresses = {
            "CLEARWAY_DATA_DIR": str(directory),
            "CLEARWAY_DATABASE_URL": database_url,
            "CLEARWAY_REDIS_URL": f"unix://{self._socket}",
            "CLEARWAY_ARTIFACTS_URL": str(self.store_directory),
            "CLEARWAY_MODEL": str(model),
            "CLEARWAY_QUEUE_KEY": "c" * 64,
        }
        super().__init__(directory / "logs", {**inherited, **addresses, **PACE})

    def start_all(self, *, erasers: Sequence[Path]) -> None:
        """With `erasers` in the registry, active. Returns when a generation sent to any gateway would run."""
        with self.database() as database:
            database.migrate()
            for eraser in erasers:
                with database.exclusive() as session:
                    take_in(session, self.store(), eraser, model=self._model.name)
        valkey = self.directory / "valkey"
        valkey.mkdir()
        self.start("valkey", commands.valkey(directory=valkey, socket=self._socket))
        self.wait(self._valkey_answers, READY_SECONDS, "Valkey answers")
        for kind, part, command in (("generate", "worker", commands.worker()), ("train", "trainer", commands.trainer())):
            for number in range(1, self._expected[cast(WorkerKind, kind)] + 1):
                self.start(f"{part}-{number}", command)
        for name, port in self.ports.items():
            self.start(name, commands.gateway(host="127.0.0.1", port=port))
        self.until_ready()

    def until_ready(self) -> None:
        self.wait(lambda: all(map(_ready, self.urls)) and self._all_loaded(), READY_SECONDS, "every part is up")

    def close(self) -> None:
        super().close()
        self._socket_folder.cleanup()

    # where things are

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.ports.values()]

    @property
    def key(self) -> str:
        return (self.directory / "operator.key").read_text().strip()

    def store(self) -> DirectoryStore:
        return DirectoryStore(self.store_directory)

    @contextmanager
    def database(self) -> Iterator[Database]:
        database = Database(self._database_url)
        try:
            yield database
        finally:
            database.close()

    def redis(self) -> Redis:
        return Redis(unix_socket_path=str(self._socket), socket_timeout=5)

    # what the parts say

    def sweeps(self, gateway: str) -> float:
        """Passes of the sweep that a gateway has counted since it started. One that does not answer now has counted none."""
        headers = {"Authorization": f"Bearer {self.key}"}
        try:
            text = httpx.get(f"http://127.0.0.1:{self.ports[gateway]}/metrics", headers=headers, timeout=5).text
        except httpx.TransportError:
            return 0.0
        return float(text.partition("\nclearway_sweeps_total ")[2].partition("\n")[0])

    def holder(self, job_id: str) -> str | None:
        """The name in Redis of the worker that holds a job."""
        found = [lease["worker"] for lease in self._values(lease_key(job_id))]
        return found[0] if found else None

    def part_of(self, worker: str) -> str:
        """Which of the parts goes by this name in Redis."""
        name = self.name_of(self._values(worker_key(worker))[0]["pid"])
        assert name is not None
        return name

    def wiped(self) -> bool:
        """Whether everything in Valkey is gone; not while it is down."""
        with self.redis() as redis:
            try:
                return bool(redis.flushall())
            except RedisError:
                return False

    def _all_loaded(self) -> bool:
        """By what they show. One that was killed goes on being shown for a while."""
        shown = [one["kind"] for one in self._values(worker_key("*")) if one["state"] != "loading" and self.name_of(one["pid"])]
        return all(shown.count(kind) >= count for kind, count in self._expected.items())

    def _values(self, pattern: str) -> list[dict[str, Any]]:
        """What Redis has under keys of a pattern; nothing while it is down."""
        with self.redis() as redis:
            try:
                values = [redis.get(key) for key in redis.scan_iter(match=pattern)]
            except RedisError:
                return []
        return [json.loads(cast(bytes, value)) for value in values if value is not None]

    def _valkey_answers(self) -> bool:
        with self.redis() as redis:
            try:
                return bool(redis.ping())
            except RedisError:
                return False


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
