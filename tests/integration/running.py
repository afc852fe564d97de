"""`clearway up` as a person runs it: a process, a data directory, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

from service.client import Client, ClientError
from service.embedded.data_dir import DataDir
from workers.runtime_directory import socket_path

READY_SECONDS = 180
SETTLE_SECONDS = 90


class Up:
    def __init__(self, data_dir: Path, *, model: str, **settings: str) -> None:
        self.data_dir = data_dir
        self.output = data_dir.with_name(f"{data_dir.name}.out")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CLEARWAY_")}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service", "up", "--data-dir", str(data_dir), "--port", "0", "--model", model],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment | settings,
            )

    def wait_until_ready(self) -> None:
        eventually(lambda: self._said("Clearway is ready"), READY_SECONDS, self.log)

    def client(self) -> Client:
        url = DataDir(self.data_dir).url()
        assert url is not None
        return Client(url, (self.data_dir / "operator.key").read_text().strip())

    def queue(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(socket_path(self.data_dir)))

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def end(self) -> None:
        """However it is: for the end of a test."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=60)
            finally:
                self.process.kill()

    def processes(self) -> dict[int, str]:
        """Every process that was started for this data directory, and its command line."""
        return processes_of(self.data_dir)

    def process_of(self, module: str) -> int:
        (pid,) = [pid for pid, command in self.processes().items() if module in command]
        return pid

    def log(self) -> str:
        logs = [self.output, *sorted((self.data_dir / "logs").glob("*.log"))]
        return "\n".join(f"== {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in logs if log.exists())

    def _said(self, words: str) -> bool:
        assert self.process.poll() is None, self.log()
        return words in self.output.read_text()


def processes_of(data_dir: Path) -> dict[int, str]:
    """By their environment; Valkey, which writes its title over its environment, by where it works."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (
                f"CLEARWAY_DATA_DIR={data_dir}\0".encode() in (entry / "environ").read_bytes()
                or (entry / "cwd").readlink() == data_dir / "valkey"
            ):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or somebody else's
    return found


def eventually(holds: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s\n{explain()}"
        time.sleep(0.1)


def settled(up: Up, client: Client, generation_id: str) -> dict[str, Any]:
    """The generation, once it has ended. A gateway that restarts meanwhile is waited for."""

    def status() -> str:
        try:
            return str(client.generation(generation_id)["status"])
        except ClientError:
            return "unknown"

    eventually(lambda: status() in ("succeeded", "failed", "canceled"), SETTLE_SECONDS, up.log)
    return client.generation(generation_id)
