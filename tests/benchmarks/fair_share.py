"""`python -m tests.benchmarks.fair_share [--crowd 1000] [--keys 3] [--workers 2] [--window 4]`: who waits for whom, at what cost.

One key has a crowd of jobs; then others send one each. Prints how many jobs were started before each of those, with the window
and as a first-in-first-out queue would have it, and what accepting costs while the line is short and while it is long. The
gateway runs in this process, on SQLite and a real Valkey; workers are played by threads that only sleep, so the numbers are those
of the gateway and the queue.
"""

from __future__ import annotations

import argparse
import logging
import os
import secrets
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import insert

from service.app import create_app
from service.settings import Settings
from service.store import line
from service.store.identifiers import new_id
from service.store.models import Job
from tests.service.calls import generate, wait_until
from tests.service.conftest import Valkey
from tests.service.hand import CARD, Hand, gateway_of
from workers.contract import GenerationTask
from workers.store.artifacts import open_store


class Workers:
    """Threads that take one job after another, and remember in which order they were started."""

    def __init__(self, redis: Redis, settings: Settings, *, count: int, milliseconds: float) -> None:
        self.started: list[str] = []
        self._hand = Hand(redis, open_store(settings.artifacts_url))
        self._seconds = milliseconds / 1000
        self._one_takes = threading.Lock()
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]

    def __enter__(self) -> Workers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            with self._one_takes:
                payload = self._hand.take()
                if payload is not None:
                    self.started.append(payload["id"])
            time.sleep(self._seconds)
            if payload is not None:
                self._hand.finish(GenerationTask.model_validate(payload))


def crowd(client: TestClient, key_id: str, count: int) -> None:
    """Accepted long ago, in one transaction: this is not what is measured."""
    accepted = generate(client)
    with gateway_of(client).database.write() as session:
        made = session.get_one(Job, accepted["id"])
        shared = {name: getattr(made, name) for name in ("kind", "status", "attempt", "model", "plan", "labels", "created_at")}
        if count > 1:
            rows: list[dict[str, Any]] = [{**shared, "id": new_id("gen"), "key_id": key_id} for _ in range(count - 1)]
            session.execute(insert(Job), rows)


def accepting(client: TestClient, count: int) -> float:
    """Milliseconds a request, median."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        generate(client)
        taken.append(1000 * (time.perf_counter() - begun))
    return sorted(taken)[count // 2]


def choosing(client: TestClient) -> float:
    """Milliseconds to find whose turn it is, median."""
    taken = []
    for _ in range(21):
        begun = time.perf_counter()
        with gateway_of(client).database.read() as session:
            line.lines(session, "generate")
        taken.append(1000 * (time.perf_counter() - begun))
    return sorted(taken)[10]


def user(operator: TestClient, name: str) -> TestClient:
    key = operator.post("/keys", json={"name": name}).json()["key"]
    return TestClient(operator.app, headers={"authorization": f"Bearer {key}"})


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--crowd", type=int, default=1000, help="jobs of the first key")
    parser.add_argument("--keys", type=int, default=3, help="other keys, with one job each")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--milliseconds", type=float, default=5, help="that a job takes")
    parser.add_argument("--window", type=int, default=Settings.model_fields["generate_window"].default)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    os.environ.setdefault("CLEARWAY_QUEUE_KEY", secrets.token_hex(32))
    say(str(vars(options)))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = Valkey(directory)
        valkey.start()
        stack.callback(valkey.stop)
        settings = Settings(
            data_dir=directory, redis_url=SecretStr(valkey.url), model="toy", generate_window=options.window, max_queued=10**6
        )
        open_store(settings.artifacts_url).put("models/toy.json", CARD.model_dump_json().encode())
        operator = stack.enter_context(TestClient(create_app(settings)))
        operator.headers["authorization"] = f"Bearer {settings.operator_key_path.read_text().strip()}"
        greedy, others = user(operator, "greedy"), [user(operator, f"other {number}") for number in range(options.keys)]
        say(f"accepting, nobody waits:      {accepting(greedy, 20):8.1f} ms a request")
        crowd(greedy, str(greedy.headers["authorization"]).split("_")[1], options.crowd)
        say(f"accepting, {options.crowd} wait:".ljust(30) + f"{accepting(greedy, 20):8.1f} ms a request")
        say(f"whose turn it is, {options.crowd} wait:".ljust(30) + f"{choosing(operator):8.2f} ms")
        redis = stack.enter_context(valkey.client())
        workers = stack.enter_context(Workers(redis, settings, count=options.workers, milliseconds=options.milliseconds))
        wait_until(lambda: len(workers.started) >= 20, seconds=60)
        begun, before = time.perf_counter(), len(workers.started)
        for other in others:
            at, wanted = len(workers.started), generate(other)["id"]
            wait_until(lambda wanted=wanted: wanted in workers.started, seconds=600)
            fifo = options.crowd + 41 - at  # what of the crowd was not started when it came
            say(f"started before another's one: {workers.started.index(wanted) - at:8d} jobs; first in, first out: {fifo}")
        wait_until(lambda: len(workers.started) >= before + 60, seconds=120)
        rate = (len(workers.started) - before) / (time.perf_counter() - begun)
        say(f"started:                      {rate:8.1f} jobs a second")


if __name__ == "__main__":
    main()
