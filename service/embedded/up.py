"""`clearway up`: puts the processes together, waits until they serve, and keeps them until Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import httpx
import redis

from service.embedded import commands
from service.embedded.child import ChildSpec
from service.embedded.data_dir import DataDir
from service.embedded.errors import PortTaken
from service.embedded.queue_directory import QueueDirectory
from service.embedded.supervisor import Supervisor
from workers.addresses import LOOPBACK_NAMES

HOST = "127.0.0.1"
POLL_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    data_dir: Path
    port: int
    """0: any that is free."""
    model: str | None = None
    workers: int = 1


class StopRequests:
    """Counts SIGINT, SIGTERM and SIGHUP: one asks for a clean stop, a second for a quick one."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.count += 1

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(options: UpOptions, say: Callable[[str], None]) -> None:
    """Returns when asked to stop, everything stopped. Raises `EmbeddedError` when it cannot start or go on, `SettingsInvalid`."""
    data_dir = DataDir(options.data_dir)
    data_dir.make()
    _check_settings(data_dir)
    stops = StopRequests()
    with (
        data_dir.lock() as publish,
        data_dir.socket() as valkey_socket,
        stops.caught(),
        Supervisor(hurry=lambda: stops.count > 1) as supervisor,
    ):
        data_dir.ensure_queue_key()
        port = _free_port(HOST, options.port)
        url = f"http://{HOST}:{port}"
        publish(url)
        queue, *rest = _specs(options, data_dir, port, valkey_socket)
        supervisor.start(queue)
        _poll_until(lambda: _valkey_answers(valkey_socket), supervisor, stops)
        for spec in rest:
            supervisor.start(spec)
        say(f"Starting in {data_dir.path} (logs in {data_dir.logs}); loading the model…")
        _poll_until(lambda: _serves(url), supervisor, stops)
        if not stops.count:
            say(f"Clearway is ready at {url} (API docs at {url}/docs). Operator key: {data_dir.operator_key}. Ctrl-C stops it.")
        _poll_until(lambda: False, supervisor, stops)
        say("Stopping…")
    say("Stopped. Starting again on the same directory finds everything as it was.")


def _check_settings(data_dir: DataDir) -> None:
    """Raises `SettingsInvalid` for the gateway's, before anything starts. Worker and trainer check their own."""
    from service.settings import Settings  # brings SQLAlchemy, which other commands need not wait for

    Settings.from_environment(data_dir=data_dir.path)


def _specs(options: UpOptions, data_dir: DataDir, port: int, valkey_socket: Path) -> Iterator[ChildSpec]:
    """In the order in which they start; they stop in the opposite order."""
    environment = _environment(options, data_dir, valkey_socket)

    def spec(name: str, command: list[str], stop_seconds: float) -> ChildSpec:
        return ChildSpec(
            name=name,
            command=command,
            log=data_dir.log(name),
            stop_seconds=stop_seconds,
            environment=environment,
            hopeless=commands.HOPELESS_EXIT_CODES,
        )

    files = QueueDirectory(data_dir.valkey)
    valkey = spec("valkey", commands.valkey(directory=data_dir.valkey, socket=valkey_socket), 5)
    yield replace(valkey, after_exit=files.after_exit, is_intact=files.is_intact)
    yield spec("trainer", commands.trainer(), 5)  # a training that is cut short is queued again at the next start
    for number in range(1, options.workers + 1):
        yield spec("worker" if options.workers == 1 else f"worker-{number}", commands.worker(), 10)
    yield spec("gateway", commands.gateway(host=HOST, port=port), commands.GATEWAY_STOP_SECONDS)


def _environment(options: UpOptions, data_dir: DataDir, valkey_socket: Path) -> dict[str, str]:
    sharing = options.workers + 1  # with the trainer; threads that spin while they wait for one without a core slow all down
    environment = {
        "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // sharing)),
        "OMP_WAIT_POLICY": "PASSIVE",
        "CLEARWAY_LOG_FORMAT": "text",  # who runs this reads logs with their own eyes, and sees the last lines of what ends
        **os.environ,
        "NO_PROXY": ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), LOOPBACK_NAMES))),
        "CLEARWAY_DATA_DIR": str(data_dir.path),
        "CLEARWAY_REDIS_URL": f"unix://{valkey_socket}",
        "PYTHONUNBUFFERED": "1",
    }
    return environment | ({"CLEARWAY_MODEL": options.model} if options.model else {})


def _poll_until(condition: Callable[[], bool], supervisor: Supervisor, stops: StopRequests) -> None:
    """Supervises until the condition holds or somebody asks to stop."""
    while not stops.count and not condition():
        supervisor.poll()
        time.sleep(POLL_SECONDS)


def _free_port(host: str, port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the gateway does: TIME_WAIT is not "taken"
        try:
            probe.bind((host, port))
        except OSError as taken:
            raise PortTaken(host, port) from taken
        return int(probe.getsockname()[1])


def _valkey_answers(path: Path) -> bool:
    with redis.Redis(unix_socket_path=str(path), socket_timeout=1) as connection:
        try:
            return bool(connection.ping())
        except redis.RedisError:  # not listening yet, or still reading its append-only file
            return False


def _serves(url: str) -> bool:
    """Whether a generation sent now would run."""
    try:
        return httpx.get(f"{url}/health/ready", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
