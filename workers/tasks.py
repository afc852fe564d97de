"""The functions that the queue names. Each runs one attempt to its terminal record and returns; whether there is another
attempt is the gateway's decision, so nothing here is left to the queue's own failure handling.

    take the lease ─▶ payload → task ─▶ work ─▶ receipt | failure ─▶ hint ─▶ release
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from workers import failures
from workers.attempts.attempt import Attempt
from workers.attempts.events import EventName, hint_settled
from workers.contract import EvaluationTask, FailureRecord, GenerationTask, Identifier, JobKind, Record, TrainingTask
from workers.errors import InvalidTask, LeaseLost, LeaseRefused
from workers.generation import generate as generation
from workers.residency.resident import Resident, resident
from workers.store.artifacts import ArtifactError
from workers.store.records import Records, utc_now
from workers.training import evaluate as evaluation
from workers.training import train as training

logger = logging.getLogger(__name__)

Task = TypeVar("Task", bound=Record)


class _Ticket(BaseModel):
    """The part of a payload that is needed to say that the rest cannot be understood."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)  # RQ logs the error
    id: Identifier
    attempt: int


def generate(payload: dict[str, Any]) -> None:
    _run("generate", payload, GenerationTask, generation.generate)


def train(payload: dict[str, Any]) -> None:
    _run("train", payload, TrainingTask, training.train)


def evaluate(payload: dict[str, Any]) -> None:
    _run("evaluate", payload, EvaluationTask, evaluation.evaluate)


def _run(
    kind: JobKind, payload: dict[str, Any], schema: type[Task], work: Callable[[Resident, Task, Attempt], Record]
) -> None:
    here, ticket = resident(), _Ticket.model_validate(payload)
    records = Records(here.store, kind=kind, job_id=ticket.id, attempt=ticket.attempt)
    try:
        with here.attempt(kind, ticket.id, ticket.attempt) as attempt:
            if records.settled():
                logger.warning("delivered again after it had settled")
                return
            attempt.emit("started", {"attempt": attempt.number, "worker": here.name})
            try:
                success = work(here, _parse(payload, schema), attempt)
                attempt.lease.verify()
                records.succeed(success)
                logger.info("succeeded", extra={"stage_seconds": dict(attempt.stage_seconds)})
                attempt.emit("finished", {"seconds": dict(attempt.stage_seconds)})
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001 the border: every exception becomes a record
                _fail(here, attempt, records, error)
            hint_settled(here.redis, kind=kind, job_id=attempt.job_id, attempt=attempt.number)
    except LeaseRefused as refused:
        logger.warning("not run: %s", refused)
    except LeaseLost as lost:
        logger.error("nothing published: %s", lost)
    except ArtifactError as away:
        logger.error("it ends without a record, the store does not answer: %s", away)


def _parse(payload: dict[str, Any], schema: type[Task]) -> Task:
    try:
        return schema.model_validate(payload)
    except ValidationError as error:
        # Without the values: they are the client's prompts.
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors(include_input=False))
        raise InvalidTask(f"the worker does not understand the task ({faults}): run one version of gateway and workers") from None


def _fail(here: Resident, attempt: Attempt, records: Records, error: Exception) -> None:
    if records.settled():  # interrupted after the receipt, which counts
        logger.exception("it had succeeded before this", exc_info=error)
        return
    failure = failures.translate(error)
    traceback = error if failure.message != str(error) else None  # the log has what the client is not told
    logger.warning("failed", extra={"code": failure.code}, exc_info=traceback)
    failures.release(error)
    failures.recover(here, failure)
    attempt.lease.verify()
    records.fail(
        FailureRecord(
            id=attempt.job_id,
            attempt=attempt.number,
            code=failure.code,
            message=failure.message,
            retryable=failure.retryable,
            worker=here.name,
            created_at=utc_now(),
        )
    )
    event: EventName = "cancelled" if failure.code == "cancelled" else "failed"
    attempt.emit(event, {"code": failure.code, "message": failure.message, "retryable": failure.retryable})
