"""Waiting for a store: what passes is waited out, what does not is told in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.s3_server import S3Server
from workers.store.artifacts import (
    ArtifactChanged,
    ArtifactMissing,
    DirectoryStore,
    InvalidKey,
    Stamp,
    StoreAway,
    StoreRefuses,
    open_store,
)
from workers.store.patience import PatientStore


class Clock:
    """Time passes only by sleeping; `at` says what happens when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.at: dict[float, Callable[[], object]] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for due in [due for due in self.at if due <= self.now]:
            self.at.pop(due)()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "artifacts")
    store.put("a/b", b"1")
    return store


@pytest.fixture
def store(directory: DirectoryStore, clock: Clock) -> PatientStore:
    return PatientStore(directory, seconds=60, clock=clock, sleep=clock.sleep)


def test_every_call_waits_until_the_store_is_back(
    directory: DirectoryStore, store: PatientStore, clock: Clock, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"2")
    stamp = directory.stat("a/b")
    calls: list[tuple[Callable[[], object], object]] = [
        (lambda: store.get("a/b"), b"1"),
        (lambda: store.exists("a/b"), True),
        (lambda: store.exists("a/c"), False),
        (lambda: store.stat("a/b"), stamp),
        (lambda: store.read("a/b", stamp, 0, 1), b"1"),
        (lambda: store.create("a/b", b"2"), False),
        (lambda: store.list(""), ["a/b"]),
        (lambda: store.put("a/b", b"2"), None),
        (lambda: store.put_file("a/c", source), None),
        (lambda: store.delete("a"), None),
    ]
    for call, answer in calls:
        directory.root.rename(tmp_path / "away")
        clock.at[clock.now + 40] = lambda: (tmp_path / "away").rename(directory.root)
        before = clock.now
        assert call() == answer
        assert 40 <= clock.now - before <= 45
    assert store.list("") == []


def test_what_the_store_answers_is_told_at_once(store: PatientStore, clock: Clock) -> None:
    with pytest.raises(ArtifactMissing):
        store.get("a/c")
    with pytest.raises(InvalidKey):
        store.get("../x")
    with pytest.raises(ArtifactChanged):
        store.read("a/b", Stamp(1, "another"), 0, 1)
    assert clock.now == 0


def test_a_bucket_that_an_operator_has_to_mend_is_not_waited_for(s3_server: S3Server, clock: Clock) -> None:
    bucket = open_store("s3://test-no-such-bucket", s3_server.access)
    with pytest.raises(StoreRefuses):
        PatientStore(bucket, seconds=60, clock=clock, sleep=clock.sleep).get("a/b")
    assert clock.now == 0


def test_a_bucket_whose_server_is_away_is_waited_for(tmp_path: Path, clock: Clock) -> None:
    server = S3Server(tmp_path)
    server.start()
    server.make_bucket("videos")
    bucket = open_store("s3://videos", server.access)
    bucket.put("a/b", b"1")
    server.stop()
    clock.at[40] = server.start
    try:
        store = PatientStore(bucket, seconds=60, clock=clock, sleep=clock.sleep)
        assert not store.create("a/b", b"2")
        assert 40 <= clock.now <= 45
        assert store.list("") == ["a/b"]
    finally:
        server.stop()


def test_patience_ends_and_comes_back_with_the_store(
    directory: DirectoryStore, store: PatientStore, clock: Clock, tmp_path: Path
) -> None:
    directory.root.rename(tmp_path / "away")
    with pytest.raises(StoreAway):
        store.put("a/b", b"2")
    assert clock.now == 60
    with pytest.raises(StoreAway):
        store.put("a/b", b"2")
    assert clock.now == 60, "a job that is over must not wait once more to say so"
    (tmp_path / "away").rename(directory.root)
    store.put("a/b", b"2")
    directory.root.rename(tmp_path / "away")
    clock.at[clock.now + 10] = lambda: (tmp_path / "away").rename(directory.root)
    assert store.get("a/b") == b"2"
