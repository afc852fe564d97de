"""Makes clips through the service, several at a time, and keeps each in a directory, so that no run makes one twice."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from service.client import Client, ClientError, JobFailed
from service.evaluation.errors import ClipsFailed
from service.evaluation.plan import Clip

IN_FLIGHT = 4
"""Enough that the worker never waits for the next request; few enough that Ctrl-C leaves little behind."""
POLL_SECONDS = 0.25


class ClipStore:
    """`<name>.mp4`, and `<name>.json` with the finished generation. The record is written last: it declares the clip done."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def video(self, clip: Clip) -> Path:
        return self._directory / f"{clip.name}.mp4"

    def generation(self, clip: Clip) -> dict[str, Any] | None:
        """What the service said of the finished clip; None if it is not there."""
        path = self._directory / f"{clip.name}.json"
        if not path.exists():
            return None
        record: dict[str, Any] = json.loads(path.read_bytes())
        return record

    def keep(self, clip: Clip, video: bytes, generation: dict[str, Any]) -> None:
        _replace(self.video(clip), video)
        _replace(self._directory / f"{clip.name}.json", json.dumps(generation).encode())


def make_clips(client: Client, model: str, clips: Sequence[Clip], store: ClipStore, on_done: Callable[[], None]) -> None:
    """Returns when the store holds every clip. `on_done` is called for each. Raises `ClipsFailed` after trying them all."""
    missing = {clip.name: clip for clip in clips if store.generation(clip) is None}.values()
    for _ in range(len(clips) - len(missing)):
        on_done()
    failures: dict[str, str] = {}
    with ThreadPoolExecutor(max_workers=IN_FLIGHT) as threads:
        tasks = {threads.submit(_make, client, model, clip, store): clip for clip in missing}
        try:
            for task in as_completed(tasks):
                if (failure := task.exception()) is None:
                    on_done()
                elif isinstance(failure, ClientError):
                    failures[f"{tasks[task].line.prompt!r}, seed {tasks[task].seed}"] = str(failure)
                else:
                    raise failure
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise ClipsFailed(failures, len(clips))


def _make(client: Client, model: str, clip: Clip, store: ClipStore) -> None:
    generation = client.generate(clip.request(model))
    while generation["status"] in ("queued", "running"):
        time.sleep(POLL_SECONDS)
        generation = client.generation(generation["id"])
    if generation["status"] != "succeeded":
        raise JobFailed(generation["id"], generation["status"], generation["error"])
    store.keep(clip, client.video(generation["id"]), generation)


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_suffix(path.suffix + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)
