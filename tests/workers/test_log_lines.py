"""A line is one line, in either form, and tells what it is about and nothing that a client wrote."""

from __future__ import annotations

import json
import logging
import sys
import threading
from typing import Any

import pytest

from workers import log_lines
from workers.attempts.ticker import ticking
from workers.log_lines import LogFormat, formatter


def record(logger: str = "workers.tasks", **extra: Any) -> logging.LogRecord:
    return logging.getLogger(logger).makeRecord(logger, logging.WARNING, "", 0, "lost %s", ("it",), None, extra=extra)


def told(**extra: Any) -> dict[str, Any]:
    line: dict[str, Any] = json.loads(formatter("json").format(record(**extra)))
    return line


def test_a_line_tells_what_its_thread_is_about() -> None:
    with log_lines.about(job="gen_1", attempt=1):
        with log_lines.about(attempt=2, kind="generate"):
            line = told(code="timeout")
        assert told()["attempt"] == 1
    assert {"level": "WARNING", "logger": "workers.tasks", "message": "lost it"}.items() <= line.items()
    assert {"job": "gen_1", "attempt": 2, "kind": "generate", "code": "timeout"}.items() <= line.items()
    assert told().keys() == {"at", "level", "logger", "message"}


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_secrets_are_redacted_wherever_they_are(log_format: LogFormat) -> None:
    key, secret = "ck_0123456789ab_" + "f" * 64, "whsec_abcdef0123456789"
    for text in (f"GET /generations/{key}", f"{secret}", "Authorization: Bearer abcdefghijk", "redis://user:hunter22@host/0"):
        line = formatter(log_format).format(record(job=text))
        for part in ("f" * 64, "abcdef0123456789", "abcdefghijk", "hunter22"):
            assert part not in line
    assert "ck_0123456789ab_" in formatter(log_format).format(record(job=key))  # whose it is
    job = "gen_0123456789abcdef0123456789abcdef"
    assert job in formatter(log_format).format(record(job=job))


def test_an_error_that_repeats_fast_is_counted_and_not_written() -> None:
    now = 0.0
    repeats = log_lines.RepeatFilter(most=3, period_seconds=10, clock=lambda: now)
    passed = [repeats.filter(record()) for _ in range(1_000)]
    assert passed.count(True) == 3
    assert repeats.filter(record("workers.other"))  # another kind
    now = 11.0
    again = record()
    assert repeats.filter(again)
    assert again.getMessage() == "lost it (997 more like it were not written)"
    information = logging.LogRecord("a", logging.INFO, "", 0, "request", (), None)
    assert all(repeats.filter(information) for _ in range(100))


def test_what_ticks_for_a_job_is_about_the_job() -> None:
    lines: list[dict[str, Any]] = []
    ticked = threading.Event()

    def tick() -> None:
        lines.append(told())
        ticked.set()

    with log_lines.about(job="gen_1"), ticking("a", tick, every_seconds=0.001):
        assert ticked.wait(10)
    assert lines[0]["job"] == "gen_1"


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_libraries_add_is_left_out(form: LogFormat) -> None:
    """RQ adds the payload of a job that failed."""
    with log_lines.about(job="gen_1"):
        line = formatter(form).format(record("rq.worker", arguments=[{"prompt": "private words"}]))
    assert "private" not in line
    assert "gen_1" in line


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_line_is_a_line_whatever_is_in_its_fields(form: LogFormat) -> None:
    line = formatter(form).format(record(job="a\nb\u2028c", odd=object(), words="two words"))
    assert len(line.splitlines()) == 1


def test_text_is_for_eyes() -> None:
    line = formatter("text").format(record(job="gen_1", attempt=1, stage_seconds={"encode": 0.5}))
    assert line.endswith(' WARNING workers.tasks: lost it [job=gen_1 attempt=1 stage_seconds={"encode": 0.5}]')
    assert formatter("text").format(record()).endswith("lost it")


def test_an_exception_is_a_field() -> None:
    failed = record()
    try:
        raise ValueError("a\nb")
    except ValueError:
        failed.exc_info = sys.exc_info()
    line = formatter("json").format(failed)
    assert len(line.splitlines()) == 1
    assert "ValueError" in json.loads(line)["trace"]
    assert "ValueError" in formatter("text").format(failed)
