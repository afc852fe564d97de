"""The processes of a benchmark, started as production starts them: Valkey with its append-only file, gateways, workers."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from redis import Redis
from redis.exceptions import RedisError
from rq import Worker

from service.embedded import commands
from service.settings import Settings
from tests.benchmarks import control
from tests.service.calls import wait_until
from tests.service.test_server import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 180.0, 60.0
CONTROL = "control"


@dataclass(frozen=True)
class Server:
    """Something that takes `POST /generate`."""

    name: str
    url: str
    headers: Mapping[str, str]
    redis_url: str
    pid: int

    def cpu_seconds(self) -> float:
        """What its process took of the processors since it began. It hardly depends on what else runs on the machine."""
        user, system = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def process(
    command: list[str], log: Path, ready: Callable[[], bool], environment: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Its id. Runs for the length of the block, from when it is ready on. Of `CLEARWAY_…` it has what `environment` says."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("CLEARWAY_")}
    with log.open("wb") as output:
        running = subprocess.Popen(command, cwd=ROOT, env={**outside, **(environment or {})}, stdout=output, stderr=output)

    def answers() -> bool:
        if running.poll() is not None:
            raise RuntimeError(f"{command[2]} ended:\n{log.read_text(errors='replace')[-3000:]}")
        return ready()

    try:
        wait_until(answers, seconds=START_SECONDS)
        yield running.pid
    finally:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        finally:
            running.kill()


@contextlib.contextmanager
def valkey(directory: Path) -> Iterator[str]:
    """Its address, to which `?db=` may be added."""
    socket = directory / "v.sock"

    with process(commands.valkey(directory=directory, socket=socket), directory / "valkey.log", lambda: _pongs(socket)):
        yield f"unix://{socket}"


@contextlib.contextmanager
def gateway(name: str, settings: Settings) -> Iterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = commands.gateway(host="127.0.0.1", port=port)
    log, live = settings.data_dir / "gateway.log", f"{url}/health/live"
    with process(command, log, lambda: _answers(live), environment_of(settings)) as pid:
        key = settings.operator_key_path.read_text().strip()
        yield Server(name, url, {"authorization": f"Bearer {key}"}, settings.redis_url.get_secret_value(), pid)


@contextlib.contextmanager
def worker(settings: Settings, server: Server) -> Iterator[None]:
    log, ready = settings.data_dir / "worker.log", f"{server.url}/health/ready"
    with process(commands.worker(), log, lambda: _answers(ready), environment_of(settings)):
        yield


@contextlib.contextmanager
def bare(directory: Path, redis_url: str) -> Iterator[Server]:
    """The control, with the server's options that the gateway has."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "uvicorn", "tests.benchmarks.control:create_app", "--factory"),
        *("--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
    ]
    log, docs = directory / "control.log", f"{url}/docs"
    with process(command, log, lambda: _answers(docs), {control.REDIS_URL: redis_url}) as pid:
        yield Server(CONTROL, url, {}, redis_url, pid)


@contextlib.contextmanager
def bare_worker(directory: Path, redis_url: str) -> Iterator[None]:
    command = [
        *(sys.executable, "-m", "rq.cli", "worker", control.QUEUE, "--url", redis_url, "--quiet"),
        *("--worker-class", "rq.SimpleWorker", "--serializer", "rq.serializers.JSONSerializer"),
    ]
    log = directory / "control-worker.log"
    with contextlib.closing(Redis.from_url(redis_url)) as redis, process(command, log, lambda: Worker.count(redis) > 0):
        yield


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "CLEARWAY_DATA_DIR": str(settings.data_dir),
        "CLEARWAY_DATABASE_URL": settings.database_url.get_secret_value(),
        "CLEARWAY_REDIS_URL": settings.redis_url.get_secret_value(),
        "CLEARWAY_QUEUE_KEY": settings.queue_key.get_secret_value(),
        "CLEARWAY_MAX_QUEUED": str(settings.max_queued),
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.TransportError:
        return False


def _pongs(socket: Path) -> bool:
    with contextlib.closing(Redis(unix_socket_path=str(socket))) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False
