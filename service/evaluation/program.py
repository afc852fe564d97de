"""Programs that look at clips run as processes of their own: they need torch."""

from __future__ import annotations

import subprocess
import sys

from service.evaluation.errors import EvaluationError

_TOLD = 2000
"""Characters of what it said last."""


def run(module: str, *arguments: str, failure: type[EvaluationError]) -> str:
    """What `python -m module` writes; `failure` with what it said where it did not end well."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise failure(done.stderr.strip()[-_TOLD:])
    return done.stdout
