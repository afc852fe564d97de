"""Keeps processes running until told to stop.

A process that ends is started again after a pause that doubles with each failure in a row; one that ran for a minute has
a clean slate. After `MAX_FAILURES` in a row the supervisor gives up on everything: a service that limps silently is worse
than one that is down with a reason. Processes stop in the reverse of the order they were started in, one after the other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from service.embedded.child import Child, ChildSpec
from service.embedded.errors import ChildKeepsDying

MAX_FAILURES = 5
FIRST_PAUSE_SECONDS = 0.5
STABLE_SECONDS = 60.0

_WAIT_SLICE_SECONDS = 0.1

log = logging.getLogger(__name__)


@dataclass
class _Post:
    """A process that must be there, and the child that fills it now."""

    child: Child
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Use as a context manager: leaving the block stops everything. `hurry` is asked while stopping: True kills at once."""

    def __init__(self, *, hurry: Callable[[], bool] = lambda: False) -> None:
        self._posts: list[_Post] = []
        self._hurry = hurry

    def start(self, spec: ChildSpec) -> Child:
        child = Child(spec)
        self._posts.append(_Post(child))
        log.info("%s started as process %d", spec.name, child.pid)
        return child

    def poll(self) -> None:
        """Call this a few times a second: notices what ended, starts it again when its pause is over, and bounds the logs."""
        for post in self._posts:
            self._rotate_log(post.child)
            if post.restart_at is not None:
                self._restart_when_due(post, post.restart_at)
            elif (code := post.child.exit_code()) is not None:
                self._note_end(post, code)
            elif not post.child.spec.is_intact():
                post.child.ask_to_stop()

    def stop(self) -> None:
        while self._posts:
            child = self._posts.pop().child
            child.ask_to_stop()
            if not self._ended_in_time(child):
                log.warning("%s did not stop within %g s; killing it", child.spec.name, child.spec.stop_seconds)
            child.kill()  # what it may have left behind in its process group
            log.info("%s stopped", child.spec.name)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _rotate_log(self, child: Child) -> None:
        try:
            child.rotate_log()
        except OSError as error:
            log.warning("the log of %s cannot be rotated: %s", child.spec.name, error)

    def _note_end(self, post: _Post, code: int) -> None:
        name = post.child.spec.name
        post.failures = 1 if post.child.age_seconds() > STABLE_SECONDS else post.failures + 1
        if post.failures >= MAX_FAILURES or code in post.child.spec.hopeless:
            raise ChildKeepsDying(name, post.failures, post.child.spec.log, post.child.last_log_lines())
        post.child.spec.after_exit(code)
        pause = FIRST_PAUSE_SECONDS * 2 ** (post.failures - 1)
        post.restart_at = time.monotonic() + pause
        log.warning("%s ended with code %d; starting it again in %g s", name, code, pause)

    def _restart_when_due(self, post: _Post, due: float) -> None:
        if time.monotonic() < due:
            return
        post.child = Child(post.child.spec)
        post.restart_at = None
        log.info("%s started again as process %d", post.child.spec.name, post.child.pid)

    def _ended_in_time(self, child: Child) -> bool:
        deadline = time.monotonic() + child.spec.stop_seconds
        while not child.wait(_WAIT_SLICE_SECONDS):
            if time.monotonic() > deadline or self._hurry():
                return False
        return True
