"""RQ's worker, made fit for a resident model.

RQ forks for each job, which CUDA does not survive; its `SimpleWorker` keeps the process but cannot be stopped and is silent
while a job runs. This class gives it both: the stop command reaches the running attempt, and heartbeats go on in threads.
It decides nothing about jobs: `workers.tasks` does, and never lets an exception out that RQ would act on.
"""

from __future__ import annotations

import logging
import signal

from redis import Redis
from redis.exceptions import RedisError
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.worker import SimpleWorker

from workers import log_lines
from workers.attempts.ticker import ticking
from workers.contract import attempt_of
from workers.residency.resident import Resident

logger = logging.getLogger(__name__)

UNFIT_EXIT_CODE = 1
WORKER_TTL_SECONDS = 60
RQ_HEARTBEAT_SECONDS = 10
RQ_EXECUTION_TTL_SECONDS = 40
"""How long after a worker's death RQ itself still believes in its job. Our own lease is shorter and is what counts."""


class ResidentWorker(SimpleWorker):
    """One process, one model, one queue. Several queues would be polled by BLPOP, which loses jobs in a crash."""

    def __init__(self, queue: str, *, connection: Redis, resident: Resident) -> None:
        super().__init__(
            [queue],
            name=resident.name,
            connection=connection,
            serializer="json",
            worker_ttl=WORKER_TTL_SECONDS,
            job_monitoring_interval=RQ_HEARTBEAT_SECONDS,
            log_job_description=False,  # it would put prompts into the log
        )
        self._resident = resident

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
            super().execute_job(job, queue)
        if self._resident.must_exit:
            self._stop_requested = True

    def perform_job(self, job: Job, queue: Queue, execution: Execution) -> bool:
        with ticking("rq-heartbeat", lambda: self._rq_beat(job, execution), every_seconds=RQ_HEARTBEAT_SECONDS):
            return bool(super().perform_job(job, queue, execution))

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """RQ's way to stop the job it just named. There is no other process to kill: the attempt ends at its next step."""
        self._resident.cancel(self._stopped_job_id)

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
