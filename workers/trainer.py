"""`python -m workers.trainer`: trains and evaluates erasers. Its own process and queue, so that no generation waits for it."""

from __future__ import annotations

import sys

from workers.process import main

if __name__ == "__main__":
    sys.exit(main("train"))
