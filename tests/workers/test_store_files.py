"""What lies in a store's directory: private files, and refusals where something else than a file has a value's name."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.test_artifacts import CALLS
from workers.common_settings import CommonSettings, SettingsInvalid
from workers.store.artifacts import ArtifactMissing, DirectoryStore, StoreAway, StoreRefuses
from workers.store.store_mark import FILE_NAME

SECONDS = 5
READING = CALLS[:4]


def in_time(call: Callable[[], object]) -> BaseException | object:
    """What the call returns or raises. Fails where it waits."""
    outcome: list[BaseException | object] = []

    def run() -> None:
        try:
            outcome.append(call())
        except BaseException as error:  # noqa: BLE001
            outcome.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert outcome, "it waits"
    return outcome[0]


def put_pipe(path: Path) -> None:
    os.mkfifo(path)


def put_link(path: Path) -> None:
    target = path.with_name("target-of-link")
    target.write_bytes(b"a secret file")
    path.symlink_to(target)


def put_socket(path: Path) -> None:
    before = os.getcwd()
    os.chdir(path.parent)  # the path of a socket is short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def put_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero
    except PermissionError:
        pytest.skip("only root makes devices")


PLACED = {"a named pipe": put_pipe, "a symbolic link": put_link, "a socket": put_socket, "a device": put_device}


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    store = DirectoryStore(tmp_path / "artifacts")
    store.put("a/other", b"1")
    return store


@pytest.mark.parametrize("kind", PLACED)
def test_what_is_no_regular_file_is_refused_at_once(store: DirectoryStore, kind: str) -> None:
    PLACED[kind](store.root / "a" / "b")
    for call in READING:
        refused = in_time(lambda call=call: call(store, "a/b"))  # type: ignore[misc]
        assert isinstance(refused, StoreRefuses)
        assert f"a/b is {kind} and not a regular file" in str(refused)
    assert isinstance(in_time(lambda: store.create("a/b", b"2")), StoreRefuses)
    assert "a/b" not in store.list("")
    assert in_time(lambda: store.put("a/b", b"3")) is None, "a new value takes its place"
    assert store.get("a/b") == b"3"
    if kind == "a symbolic link":
        assert (store.root / "a" / "target-of-link").read_bytes() == b"a secret file", "written beside it, not through it"


def test_deleting_a_link_to_a_directory_deletes_the_link(store: DirectoryStore, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").touch()
    (store.root / "b").symlink_to(tmp_path / "elsewhere")
    store.delete("b")
    assert not (store.root / "b").is_symlink()
    assert (tmp_path / "elsewhere" / "file").exists()


def test_a_pipe_in_the_place_of_the_mark_is_no_store(store: DirectoryStore) -> None:
    (store.root / FILE_NAME).unlink()
    put_pipe(store.root / FILE_NAME)
    for call in CALLS:
        away = in_time(lambda call=call: call(store, "a/b"))  # type: ignore[misc]
        assert isinstance(away, StoreAway)
    assert "a named pipe" in str(away)


@pytest.mark.parametrize("place", ["root", "folder"])
def test_a_pipe_in_the_place_of_a_directory_is_refused(store: DirectoryStore, place: str, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "new") if place == "root" else store
    put_pipe(store.root if place == "root" else store.root / "c")
    for write in (lambda: store.put("c/b", b"2"), lambda: store.create("c/b", b"2")):
        refused = in_time(write)
        assert isinstance(refused, StoreRefuses)
        assert "is not a directory: remove it" in str(refused)
    assert isinstance(in_time(lambda: store.get("c/b")), ArtifactMissing)


def test_a_source_that_is_a_pipe_is_not_waited_for(store: DirectoryStore, tmp_path: Path) -> None:
    put_pipe(tmp_path / "source")
    assert "a named pipe" in str(in_time(lambda: store.put_file("a/b", tmp_path / "source")))
    assert store.list("a") == ["a/other"]


def test_a_queue_key_that_is_a_pipe_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARWAY_QUEUE_KEY", raising=False)
    put_pipe(tmp_path / "queue.key")
    refused = in_time(lambda: CommonSettings.from_environment(data_dir=tmp_path))
    assert isinstance(refused, SettingsInvalid)
    assert str(refused) == f"{tmp_path / 'queue.key'} is a named pipe and not a regular file: remove it"


def test_only_the_user_of_the_store_reads_it_whatever_the_umask_is(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        store = DirectoryStore(tmp_path / "artifacts")
        store.put("a/b/c", b"1")
        store.create("a/d", b"2")
    finally:
        os.umask(before)
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in (store.root, *store.root.rglob("*"))}
    assert len(found) == 6
    assert {path: mode for path, mode in found.items() if mode != (0o700 if path.is_dir() else 0o600)} == {}
