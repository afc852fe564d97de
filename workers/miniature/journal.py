"""The log of a build: one JSON object a line, appended, so that a resumed build goes on in the same file."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


class Journal:
    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._started = time.monotonic()

    def write(self, **entry: object) -> None:
        """Floats are rounded to four significant digits; `seconds` is counted from the start of this process."""
        rounded = {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in entry.items()}
        line = json.dumps({"seconds": round(time.monotonic() - self._started, 1), **rounded})
        with self._path.open("a") as file:
            file.write(line + "\n")
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
