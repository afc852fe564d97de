"""The terminal records of one attempt in the store. The first one written counts, and stays; nothing is written after it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from workers.contract import (
    FailureRecord,
    JobKind,
    Record,
    evaluation_result_key,
    failure_key,
    receipt_key,
    training_result_key,
)
from workers.errors import LeaseLost
from workers.store.artifacts import ArtifactStore

_SUCCESS: dict[JobKind, Callable[[str, int], str]] = {
    "generate": receipt_key,
    "train": training_result_key,
    "evaluate": evaluation_result_key,
}


class Records:
    def __init__(self, store: ArtifactStore, *, kind: JobKind, job_id: str, attempt: int) -> None:
        self._store = store
        self._success = _SUCCESS[kind](job_id, attempt)
        self._failure = failure_key(kind, job_id, attempt)

    def settled(self) -> bool:
        return self._store.exists(self._success) or self._store.exists(self._failure)

    def succeed(self, record: Record) -> None:
        """Everything that the record speaks of must be in the store already."""
        self._publish(self._success, record)

    def fail(self, record: FailureRecord) -> None:
        self._publish(self._failure, record)

    def _publish(self, key: str, record: Record) -> None:
        """Raises `LeaseLost` where whoever else ran this attempt was first: what it published is not touched."""
        if not self._store.create(key, _bytes(record)):
            raise LeaseLost(f"another worker has published {key}")


def utc_now() -> str:
    """ISO 8601, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _bytes(record: Record) -> bytes:
    return record.model_dump_json(indent=2).encode() + b"\n"
