"""Log lines: one JSON object a line, with the request that it belongs to and the job that it tells of.

Words of requests are in no line: no prompt, no query, no body, no key.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.store.models import Job

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that is being answered; threads that a request starts see it, the gateway's own loops do not."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_OF_UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access")


def about(job: Job) -> dict[str, Any]:
    """`logger.info("…", extra=about(job))`."""
    return {"job": job.id, "attempt": job.attempt, "kind": job.kind}


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(level: str) -> None:
    """Of this process, to stderr. Nothing, where the host has set logging up. The server's own lines come in the same form, but
    for those of single requests, which `service.access` writes."""
    logging.getLogger("service").setLevel(level)
    if logging.getLogger().handlers:
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.getLogger().addHandler(handler)
    for name in _OF_UVICORN:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
