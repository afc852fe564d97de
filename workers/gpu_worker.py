"""`python -m workers.gpu_worker`: holds a video model and generates with it."""

from __future__ import annotations

import sys

from workers.process import main

if __name__ == "__main__":
    sys.exit(main("generate"))
