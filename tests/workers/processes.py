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
from rq.job import Job

from service.lifecycle.rq_queue import RqQueue
from tests.workers.parts import eventually
from workers.common_settings import CommonSettings
from workers.contract import (
    GENERATE_QUEUE,
    GenerationTask,
    TrainingTask,
    WorkerKind,
    events_key,
    lease_key,
    rq_job_id,
    worker_key,
)
from workers.store.artifacts import DirectoryStore

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 2.5
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

    def workers_of_rq(self) -> list[str]:
        """Names, as RQ's channels of commands have them."""
        names: Any = self.redis.smembers("rq:workers")
        return [name.decode().removeprefix("rq:worker:") for name in names]

    def until_ready(self, count: int = 1) -> None:
        self.until(lambda: [worker["state"] for worker in self.workers()] == ["idle"] * count, within_seconds=120)

    @property
    def queue(self) -> RqQueue:
        """The gateway's."""
        keys = CommonSettings().queue_keys()
        return RqQueue(self.redis, keys, generate_timeout_seconds=120, train_timeout_seconds=120)

    def submit(self, task: GenerationTask | TrainingTask) -> None:
        kind: WorkerKind = "generate" if isinstance(task, GenerationTask) else "train"
        self.queue.submit(kind, rq_job_id(task.id, task.attempt), task.model_dump(mode="json"))

    def enqueue_unsigned(self, function: str, *arguments: object, rq_job: str, **options: Any) -> Job:
        """As anyone can who reaches Redis and knows RQ."""
        queue = Queue(GENERATE_QUEUE, connection=self.redis, serializer="json")
        return queue.enqueue(function, *arguments, job_id=rq_job, job_timeout=120, **options)

    def stop_job(self, task: GenerationTask | TrainingTask) -> None:
        self.queue.stop(rq_job_id(task.id, task.attempt), worker=None)

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
