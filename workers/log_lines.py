"""Log lines of every process of ours: one JSON object a line, or text for a terminal, with what the line is about.

What it is about comes from two places: `context`, which holds for all that is logged meanwhile, by libraries too, and `extra` of
a call of ours. Words of requests are in no line: no prompt, no query, no body, no key.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

LogFormat = Literal["json", "text"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

context: ContextVar[Mapping[str, Any]] = ContextVar("context", default=MappingProxyType({}))
"""Threads begin without it, unless they are started in a copy of the starter's context."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OURS = frozenset({"service", "workers", "erasers"})


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Lines of this thread tell these too while the block runs."""
    token = context.set({**context.get(), **fields})
    try:
        yield
    finally:
        context.reset(token)


def formatter(log_format: LogFormat) -> logging.Formatter:
    return JsonLines() if log_format == "json" else TextLines()


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00,000 INFO workers.tasks: succeeded [job=gen_1 attempt=1]`, and a traceback below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        return f"{super().formatMessage(record)} [{fields}]" if fields else super().formatMessage(record)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """Not the `extra` of libraries: RQ's has the payload of a job that failed, and so its prompt."""
    if record.name.partition(".")[0] not in _OURS:
        return dict(context.get())
    return {**context.get(), **{name: value for name, value in vars(record).items() if name not in _STANDARD}}


def _shown(value: Any) -> str:
    """A word as it is, everything else so that nothing in it ends the line."""
    return value if isinstance(value, str) and value.isprintable() and " " not in value else json.dumps(value, default=str)
