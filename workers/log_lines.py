"""Log lines of every process of ours: one JSON object a line, or text for a terminal, with what the line is about.

What it is about comes from two places: `context`, which holds for all that is logged meanwhile, by libraries too, and `extra` of
a call of ours. Words of requests are in no line: no prompt, no query, no body. What looks like a secret is redacted in every
line, wherever it came from, and an error that repeats fast is counted instead of written.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal

LogFormat = Literal["json", "text"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]

context: ContextVar[Mapping[str, Any]] = ContextVar("context", default=MappingProxyType({}))
"""Threads begin without it, unless they are started in a copy of the starter's context."""

_SECRETS = (
    (re.compile(r"\bck_([0-9a-f]{12})_[0-9A-Za-z]{8,}"), r"ck_\1_…"),
    (re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]+"), "whsec_…"),
    (re.compile(r"(?i)\b(bearer|basic) [0-9A-Za-z+/=_.~-]{8,}"), r"\1 …"),
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@"), r"\1:…@"),
)
"""What looks like a secret, and what a line has in its place. An API key's id is no secret and says whose it is."""
_KIND_CHARACTERS = 200
_MOST_KINDS = 1_000
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


def stderr_handler(log_format: LogFormat) -> logging.Handler:
    """The handler that writes this process's lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(log_format))
    handler.addFilter(RepeatFilter())
    return handler


def formatter(log_format: LogFormat) -> logging.Formatter:
    return JsonLines() if log_format == "json" else TextLines()


def redacted(line: str) -> str:
    """The line without API keys, webhook secrets, bearer tokens and passwords of URLs."""
    for secret, shown in _SECRETS:
        line = secret.sub(shown, line)
    return line


class RepeatFilter(logging.Filter):
    """Writes at most `most` warnings and errors of one kind in each period; the next one after it says how many were left out.

    A kind is a logger and a message before its arguments are filled in. Thread-safe, as handlers call it under their lock.
    """

    def __init__(self, *, most: int = 10, period_seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._most, self._period_seconds, self._clock = most, period_seconds, clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        kind, now = (record.name, str(record.msg)[:_KIND_CHARACTERS]), self._clock()
        with self._lock:
            began, count = self._counts.get(kind, (now, 0))
            if now - began >= self._period_seconds:
                left_out, began, count = max(0, count - self._most), now, 0
            else:
                left_out = 0
            if kind not in self._counts and len(self._counts) >= _MOST_KINDS:
                self._counts.clear()
            self._counts[kind] = (began, count + 1)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} more like it were not written)", None
        return count < self._most


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
        return redacted(json.dumps(line, default=str))


class TextLines(logging.Formatter):
    """`2026-01-31 12:00:00,000 INFO workers.tasks: succeeded [job=gen_1 attempt=1]`, and a traceback below."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record))

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
