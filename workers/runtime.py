"""RQ's worker, made fit for a resident model and a Redis that is not trusted.

RQ forks for each job, which CUDA does not survive; its `SimpleWorker` keeps the process but cannot be stopped and is silent
while a job runs. This class gives it both: the stop command reaches the running attempt, and heartbeats go on in threads.

It runs the task functions of its kind and nothing else, each with a task that the gateway signed for this queue, this job and
this attempt. It logs and deletes a job that is not signed so; the gateway's reconciler enqueues again what it accepted. The only
command that it obeys is a signed one to stop an attempt; RQ's own commands (shutdown, kill-horse, stop-job, suspend) are ignored,
since anyone who reaches Redis could send them. It decides nothing else about jobs: `workers.tasks` does, and never lets an
exception out that RQ would act on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.worker import SimpleWorker

from workers import log_lines, tasks
from workers.attempts.ticker import ticking
from workers.contract import EVALUATE_FUNCTION, GENERATE_FUNCTION, TRAIN_FUNCTION, WorkerKind, attempt_of, rq_job_id
from workers.queue_messages import MessageRefused, QueuedTask, QueueKeys, StopCommand
from workers.queued_job import QueuedJob, WorkerQueue
from workers.residency.resident import Resident

logger = logging.getLogger(__name__)

UNFIT_EXIT_CODE = 1
WORKER_TTL_SECONDS = 60
RQ_HEARTBEAT_SECONDS = 10
RQ_EXECUTION_TTL_SECONDS = 40
"""How long after a worker's death RQ itself still believes in its job. Our own lease is shorter and is what counts."""

_FUNCTIONS: Mapping[WorkerKind, Mapping[str, Callable[[dict[str, Any]], None]]] = {
    "generate": {GENERATE_FUNCTION: tasks.generate},
    "train": {TRAIN_FUNCTION: tasks.train, EVALUATE_FUNCTION: tasks.evaluate},
}
"""All that a worker of a kind runs."""


class ResidentWorker(SimpleWorker):
    """One process, one model, one queue. Several queues would be polled by BLPOP, which loses jobs in a crash."""

    def __init__(self, queue: str, *, connection: Redis, resident: Resident, keys: QueueKeys) -> None:
        super().__init__(
            [queue],
            name=resident.name,
            connection=connection,
            job_class=QueuedJob,
            queue_class=WorkerQueue,
            serializer="json",
            worker_ttl=WORKER_TTL_SECONDS,
            job_monitoring_interval=RQ_HEARTBEAT_SECONDS,
            log_job_description=False,  # it would put prompts into the log
        )
        self._resident = resident
        self._keys = keys

    def run(self) -> int:
        """Work until asked to stop; the exit code. SIGTERM and SIGINT let the running job finish first.

        RQ also ends its loop by itself, after an error that it does not know what to do about (Redis is away for too long, or
        refuses to write). Then somebody has to start the process anew, and 0 would tell them not to."""
        self._resident.presence.show("idle")
        seconds = self._resident.settings.heartbeat_seconds
        with ticking("heartbeat", self._resident.beat, every_seconds=seconds):
            self.work(logging_level=None)
        self._resident.presence.leave()
        return 0 if self._shutdown_requested_date is not None else UNFIT_EXIT_CODE

    def execute_job(self, job: Job, queue: Queue) -> None:
        with log_lines.about(**_named(job), kind=self._resident.kind):
            try:
                self._admit(cast(QueuedJob, job), queue)
            except MessageRefused as refused:
                logger.error("refused, and not run: %s", refused)
                self._delete(job, queue)
                return
            super().execute_job(job, queue)
        if self._resident.must_exit:
            self._stop_requested = True

    def _admit(self, job: QueuedJob, queue: Queue) -> None:
        """Make the job run the task that the gateway signed. Raises `MessageRefused`."""
        message = self._keys.open(QueuedTask, job.token)
        if (message.queue, message.name) != (queue.name, job.id):
            raise MessageRefused(f"it was signed for {message.name} on {message.queue}")
        if rq_job_id(str(message.task.get("id")), _number(message.task.get("attempt"))) != job.id:
            raise MessageRefused("its task is of another job or attempt")
        function = _FUNCTIONS[self._resident.kind].get(message.function)
        if function is None:
            raise MessageRefused(f"a {self._resident.kind} worker has no task function {message.function!r}")
        job.origin, job.timeout = queue.name, message.timeout_seconds
        job.run = partial(function, dict(message.task))

    def _delete(self, job: Job, queue: Queue) -> None:
        with self.connection.pipeline() as pipeline:
            pipeline.delete(job.key)
            pipeline.lrem(queue.intermediate_queue_key, 0, job.id)
            pipeline.execute()

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        with ticking("rq-heartbeat", lambda: self._rq_beat(job, execution), every_seconds=RQ_HEARTBEAT_SECONDS):
            return bool(super().perform_job(job, queue, execution))

    def handle_payload(self, message: Mapping[str, Any]) -> None:
        """A command over RQ's channel of this worker, which is the gateway's only if it is signed."""
        try:
            command = self._keys.open(StopCommand, bytes(message["data"]))
        except MessageRefused as refused:
            logger.warning("a command was ignored: %s", refused)
            return
        self._resident.cancel(command.name)

    def check_for_suspension(self, burst: bool) -> None:
        """RQ's switch to stop all workers is a key in Redis that is neither signed nor shown anywhere. It is not used here."""

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        return RQ_EXECUTION_TTL_SECONDS

    def _rq_beat(self, job: Job, execution: Execution) -> None:
        try:
            self.maintain_heartbeats(job, execution)
        except RedisError as error:
            logger.warning("RQ's own heartbeat was missed: %s", error)


def _named(job: Job) -> dict[str, str | int]:
    try:
        job_id, attempt = attempt_of(job.id)
    except ValueError:  # nothing of ours, and it fails
        return {"job": job.id}
    return {"job": job_id, "attempt": attempt}


def _number(value: object) -> int:
    return value if type(value) is int else 0
