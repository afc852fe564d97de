"""A daemon thread that calls something again and again. It dies with the process, however that ends: so do heartbeats."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context

logger = logging.getLogger(__name__)


@contextmanager
def ticking(name: str, call: Callable[[], None], *, every_seconds: float) -> Iterator[None]:
    """While the block runs, `call` every so often. An exception in it is logged, and the next call comes all the same. What it
    logs is about what its starter's lines are about."""
    stopped = threading.Event()

    def loop() -> None:
        while not stopped.wait(every_seconds):
            try:
                call()
            except Exception:
                logger.exception("%s: a tick failed", name)

    thread = threading.Thread(target=copy_context().run, args=(loop,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=5.0)
