"""Waiting for a store: what passes is waited out, what does not is told in time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from workers.artifacts import ArtifactMissing, DirectoryStore, InvalidKey, StoreAway
from workers.patience import PatientStore


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
    calls: list[tuple[Callable[[], object], object]] = [
        (lambda: store.get("a/b"), b"1"),
        (lambda: store.exists("a/b"), True),
        (lambda: store.exists("a/c"), False),
        (lambda: store.local_path("a/b"), directory.root / "a/b"),
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
    assert clock.now == 0


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
