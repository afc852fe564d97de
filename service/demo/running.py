"""A whole Clearway for the length of a `with` block, as a process of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.client import Client, ClientError
from service.embedded.child import Child, ChildSpec
from service.embedded.data_dir import DataDir
from service.embedded.errors import ChildKeepsDying, EmbeddedError
from service.embedded.supervisor import Supervisor

READY_SECONDS = 300
_POLL_SECONDS = 0.3


class NotReadyInTime(EmbeddedError):
    def __init__(self, log: Path) -> None:
        super().__init__(f"the service did not get ready within {READY_SECONDS} s; see {log}")


@contextmanager
def running_service(path: Path) -> Iterator[Client]:
    """`clearway up` on a data directory, with the settings of this project and none of the caller's environment."""
    data_dir = DataDir(path)
    data_dir.make()
    spec = ChildSpec(
        name="clearway",
        command=[sys.executable, "-m", "service", "up", "--data-dir", str(data_dir.path), "--port", "0"],
        log=data_dir.log("up"),
        stop_seconds=60,
        environment={name: value for name, value in os.environ.items() if not name.startswith("CLEARWAY_")},
    )
    with Supervisor() as supervisor:
        child = supervisor.start(spec)
        url = _wait_until_ready(child, data_dir)
        with Client(url, data_dir.operator_key.read_text().strip()) as client:
            yield client


def _wait_until_ready(child: Child, data_dir: DataDir) -> str:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if child.exit_code() is not None:
            raise ChildKeepsDying("clearway up", 1, child.spec.log, child.last_log_lines())
        url = data_dir.url()
        if url is not None and _ready(url):
            return url
        time.sleep(_POLL_SECONDS)
    raise NotReadyInTime(child.spec.log)


def _ready(url: str) -> bool:
    with Client(url, key="") as anonymous:
        try:
            anonymous.ready()
        except ClientError:
            return False
        return True
