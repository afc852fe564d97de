"""The gateway's log lines: with the request that they belong to and the job that they tell of."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from workers import log_lines
from workers.log_lines import LogFormat, LogLevel

if TYPE_CHECKING:
    from service.store.models import Job

_OF_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


def begin_request(request_id: str) -> None:
    """The server runs each request in a context of its own; threads that it starts see it, the gateway's own loops do not."""
    log_lines.context.set({"request_id": request_id})


def request_id() -> str:
    """Of the request that is being answered."""
    return str(log_lines.context.get().get("request_id", ""))


def about(job: Job) -> dict[str, Any]:
    """`logger.info("…", extra=about(job))`."""
    return {"job": job.id, "attempt": job.attempt, "kind": job.kind}


def log_to_stderr(level: LogLevel, log_format: LogFormat) -> None:
    """Of this process. Nothing, where the host has set logging up. The server's own lines come in the same form, but for those
    of single requests, which `service.http.access` writes."""
    logging.getLogger("service").setLevel(level)
    if logging.getLogger().handlers:
        return
    logging.getLogger().addHandler(log_lines.stderr_handler(log_format))
    for name in _OF_UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
