"""A worker's sign of life: a Redis string that expires soon after the worker does."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import uuid
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from workers.contract import WorkerKind, worker_key

logger = logging.getLogger(__name__)

State = Literal["loading", "idle", "busy"]
PRESENCE_SECONDS = 15


def new_worker_name(kind: WorkerKind) -> str:
    """Unique per process: a restarted worker must not pass for the one that held its leases."""
    host = "".join(c if c.isalnum() or c == "-" else "-" for c in socket.gethostname())
    return f"{kind}-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


class Presence:
    def __init__(self, redis: Redis, *, name: str, kind: WorkerKind, model: str) -> None:
        self.name = name
        self._redis = redis
        self._fixed = {"kind": kind, "model": model, "pid": os.getpid()}
        self._state: State = "loading"
        self._lock = threading.Lock()

    def show(self, state: State | None = None) -> None:
        """Say what the worker does, for the next `PRESENCE_SECONDS`. Without Redis nobody asks."""
        with self._lock:  # the heartbeat must not repeat a state that the job has just left
            if state is not None:
                self._state = state
            try:
                self._redis.set(worker_key(self.name), json.dumps({**self._fixed, "state": self._state}), ex=PRESENCE_SECONDS)
            except RedisError as error:
                logger.warning("worker %s cannot show itself: %s", self.name, error)

    def leave(self) -> None:
        try:
            self._redis.delete(worker_key(self.name))
        except RedisError as error:
            logger.warning("worker %s leaves without a word: %s", self.name, error)
