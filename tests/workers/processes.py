"""Worker processes as they are run in production, and a gateway's side of the queue."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Queue
from rq.command import send_stop_job_command

from tests.workers.parts import eventually
from workers.contract import (
    GENERATE_FUNCTION,
    GENERATE_QUEUE,
    TRAIN_FUNCTION,
    TRAIN_QUEUE,
    GenerationTask,
    TrainingTask,
    events_key,
    lease_key,
    rq_job_id,
    worker_key,
)
from workers.store.artifacts import DirectoryStore

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 2.5
QUEUES = {"generate": (GENERATE_QUEUE, GENERATE_FUNCTION), "train": (TRAIN_QUEUE, TRAIN_FUNCTION)}
MODULES = {"generate": "workers.gpu_worker", "train": "workers.trainer"}


class Site:
    """One data directory, one Redis, any number of workers."""

    def __init__(self, directory: Path, redis_url: str, redis: Redis, model: Path | str) -> None:
        self.directory, self.redis, self.model = directory, redis, model
        self.store = DirectoryStore(directory / "artifacts")
        self._redis_url = redis_url
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, kind: str = "generate", **environment: str) -> subprocess.Popen[bytes]:
        settings = {
            "CLEARWAY_DATA_DIR": str(self.directory),
            "CLEARWAY_REDIS_URL": self._redis_url,
            "CLEARWAY_MODEL": str(self.model),
            "CLEARWAY_LEASE_SECONDS": str(LEASE_SECONDS),
            "CLEARWAY_HEARTBEAT_SECONDS": "0.25",
            "OMP_NUM_THREADS": "1",
        }
        log = (self.directory / f"{kind}-{len(self.processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[kind]], cwd=ROOT, stderr=log, stdout=log, env={**os.environ, **settings, **environment}
        )
        log.close()
        self.processes.append(process)
        return process

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.directory.glob("*.log")))

    def until(self, holds: Any, *, within_seconds: float = 60.0) -> None:
        try:
            eventually(holds, within_seconds=within_seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def workers(self) -> list[dict[str, Any]]:
        keys: Any = self.redis.keys(worker_key("*"))
        values: Any = [self.redis.get(key) for key in keys]
        return [json.loads(value) for value in values if value is not None]

    def until_ready(self, count: int = 1) -> None:
        self.until(lambda: [worker["state"] for worker in self.workers()] == ["idle"] * count, within_seconds=120)

    def submit(self, task: GenerationTask | TrainingTask) -> None:
        kind = "generate" if isinstance(task, GenerationTask) else "train"
        self.enqueue(task.model_dump(mode="json"), rq_job=rq_job_id(task.id, task.attempt), kind=kind)

    def enqueue(self, payload: dict[str, Any], *, rq_job: str, kind: str = "generate") -> None:
        name, function = QUEUES[kind]
        queue = Queue(name, connection=self.redis, serializer="json")
        queue.enqueue(function, payload, job_id=rq_job, unique=True, job_timeout=120, result_ttl=60, failure_ttl=60)

    def stop_job(self, task: GenerationTask | TrainingTask) -> None:
        send_stop_job_command(self.redis, rq_job_id(task.id, task.attempt), serializer="json")

    def steps(self, job_id: str) -> list[int]:
        entries: Any = self.redis.xrange(events_key(job_id))
        return [json.loads(fields[b"data"])["step"] for _, fields in entries if fields[b"event"] == b"step"]

    def holder(self, job_id: str) -> dict[str, Any] | None:
        value: Any = self.redis.get(lease_key(job_id))
        return None if value is None else json.loads(value)


@contextmanager
def site(directory: Path, redis_url: str, redis: Redis, model: Path | str) -> Iterator[Site]:
    """Whatever happens, no process outlives the block."""
    here = Site(directory, redis_url, redis, model)
    try:
        yield here
    finally:
        for process in here.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.wait()
