"""Failures that a person at the terminal can act on are one line; anything else is a defect and keeps its traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def expected_failures() -> Iterator[None]:
    try:
        yield
    except Exception as failure:
        from service.cli.hints import in_commands
        from service.client import ClientError  # here and not above: a start without failure does not pay for httpx
        from service.domain.chain import ChainBroken
        from service.embedded.errors import EmbeddedError
        from service.evaluation.errors import EvaluationError
        from workers.common_settings import SettingsInvalid
        from workers.private_files import NotPrivate

        if not isinstance(failure, ChainBroken | ClientError | EmbeddedError | EvaluationError | NotPrivate | SettingsInvalid):
            raise
        print(f"error: {in_commands(str(failure))}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
