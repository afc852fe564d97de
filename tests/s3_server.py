"""A real S3 server on this machine: SeaweedFS, whose one program has everything that a bucket needs."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from workers.store.artifacts import S3Access

WEED = Path(sys.executable).parent / "weed"
KEY_ID, SECRET = "clearway", "a-secret-of-tests"
READER_KEY_ID, READER_SECRET = "reader", "another-secret"
START_SECONDS = 60
_PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class S3Server:
    """Started and stopped by whoever makes it, as often as they like: it keeps its ports and what it holds."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ports = dict(zip(_PORTS, _free_ports(len(_PORTS)), strict=True))
        self._process: subprocess.Popen[bytes] | None = None
        identities = [
            {"name": "all", "credentials": [{"accessKey": KEY_ID, "secretKey": SECRET}], "actions": ["Admin"]},
            {
                "name": "reader",
                "credentials": [{"accessKey": READER_KEY_ID, "secretKey": READER_SECRET}],
                "actions": ["Read", "List"],
            },
        ]
        (directory / "identities.json").write_text(json.dumps({"identities": identities}))
        (directory / "data").mkdir()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._ports['s3.port']}"

    @property
    def access(self) -> S3Access:
        return S3Access(self.endpoint, access_key_id=KEY_ID, secret_access_key=SECRET)

    def start(self) -> None:
        options = {
            "dir": self._directory / "data",
            "ip": "127.0.0.1",
            "ip.bind": "127.0.0.1",
            "s3.config": self._directory / "identities.json",
            "s3.iam": "false",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "volume.max": 1000,
            "master.volumeSizeLimitMB": 64,
            "volume.preStopSeconds": 0,
            "master.volumePreallocate": "false",
            **self._ports,
        }
        command = [str(WEED), "server", "-filer", "-s3", *(f"-{name}={value}" for name, value in options.items())]
        with (self._directory / "weed.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._directory)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self) -> None:
        """At once: asked to stop, it waits for clients that keep a connection."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def make_bucket(self, name: str) -> None:
        httpx.post(f"{self._filer}/buckets/{name}/").raise_for_status()

    def remove_bucket(self, name: str) -> None:
        httpx.delete(f"{self._filer}/buckets/{name}", params={"recursive": "true"}).raise_for_status()

    def log(self) -> str:
        return (self._directory / "weed.log").read_text(errors="replace")[-3000:]

    @property
    def _filer(self) -> str:
        return f"http://127.0.0.1:{self._ports['filer.port']}"

    def _answers(self) -> bool:
        """Refusing a stranger is an answer; whoever lists buckets has found where they are kept; and values can be read and
        written once a volume server has joined, seconds after the rest."""
        master = f"http://127.0.0.1:{self._ports['master.port']}"
        try:
            if httpx.get(self.endpoint).status_code != 403 or not httpx.get(f"{self._filer}/").is_success:
                return False
            return bool(httpx.get(f"{master}/dir/status").json()["Topology"]["Max"] > 0)
        except httpx.TransportError:
            return False


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
