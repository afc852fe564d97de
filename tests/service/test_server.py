"""The gateway as a process: it starts from the environment, serves a live stream, and stops when asked, streams and all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from service.settings import Settings
from tests.service.calls import wait_until
from tests.service.hand import CARD
from workers.store.artifacts import open_store

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gateway_process(
    settings: Settings, *, preexec_fn: Callable[[], None] | None = None, **variables: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Its address, and the process."""
    open_store(settings.artifacts_url).put("models/toy.json", CARD.model_dump_json().encode())
    url = f"http://127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "CLEARWAY_DATA_DIR": str(settings.data_dir),
        "CLEARWAY_REDIS_URL": settings.redis_url.get_secret_value(),
        "CLEARWAY_MODEL": "toy",
        "CLEARWAY_LOG_FORMAT": settings.log_format,
        **variables,
    }
    command = [sys.executable, "-m", "service.server", "--port", url.rpartition(":")[2]]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=preexec_fn) as server:
        try:
            wait_until(lambda: answers(url), seconds=60)
            yield url, server
        finally:
            server.kill()


def test_a_stopping_server_ends_streams_and_itself(settings: Settings) -> None:
    with gateway_process(settings) as (url, server):
        key = settings.operator_key_path.read_text().strip()
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
            accepted = client.post("/generate", json={"prompt": "a church"}).json()
            with client.stream("GET", accepted["links"]["events"]) as stream:
                assert stream.status_code == 200
                stopper = threading.Timer(0.3, server.send_signal, [signal.SIGINT])
                stopper.start()
                assert "settled" not in stream.read().decode()  # ends well, so that the client comes back
                stopper.join()
        assert server.stderr is not None
        log = server.stderr.read()
        assert server.wait(10) == 0, log
        assert "ERROR" not in log


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/live").is_success
    except httpx.TransportError:
        return False
