"""Of several that run one attempt, one publishes; what it said stays."""

from __future__ import annotations

import pytest

from workers.contract import FailureRecord
from workers.errors import LeaseLost
from workers.store.artifacts import S3Access, open_store
from workers.store.records import Records


def record(worker: str) -> FailureRecord:
    return FailureRecord(
        id="gen_1", attempt=1, code="timeout", message="m", retryable=False, worker=worker, created_at="2026-01-01T00:00:00+00:00"
    )


def test_the_first_record_stays(store_url: str, access: S3Access) -> None:
    store = open_store(store_url, access)
    first, late = (Records(store, kind="generate", job_id="gen_1", attempt=1) for _ in range(2))
    assert not late.settled()
    first.fail(record("first"))
    with pytest.raises(LeaseLost, match="another worker has published"):
        late.fail(record("late"))
    first.fail(record("first"))  # as after an answer that was lost
    assert late.settled()
    (key,) = store.list("")
    assert FailureRecord.model_validate_json(store.get(key)).worker == "first"
