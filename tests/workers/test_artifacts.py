"""The stores: whole values only, plain keys only. What both promise, on both; then what only one of them can meet."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from unittest.mock import Mock

import pytest

from tests.s3_server import READER_KEY_ID, READER_SECRET, S3Server
from workers.store.artifacts import (
    ArtifactChanged,
    ArtifactMissing,
    ArtifactStore,
    DirectoryStore,
    InvalidKey,
    S3Access,
    Stamp,
    StoreAway,
    StoreRefuses,
    UnsupportedStore,
    open_store,
)
from workers.store.s3_store import S3Store

CALLS = (
    lambda store, key: store.get(key),
    lambda store, key: store.exists(key),
    lambda store, key: store.stat(key),
    lambda store, key: store.read(key, Stamp(1, ""), 0, 1),
    lambda store, key: store.delete(key),
    lambda store, key: store.put(key, b"3"),
    lambda store, key: store.create(key, b"3"),
)


@pytest.fixture
def store(store_url: str, access: S3Access) -> ArtifactStore:
    return open_store(store_url, access)


@pytest.fixture
def directory(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


def test_what_is_put_comes_back(store: ArtifactStore) -> None:
    store.put("videos/a/1/video.mp4", b"one")
    store.put("videos/a/1/video.mp4", b"two")
    assert store.get("videos/a/1/video.mp4") == b"two"
    assert store.exists("videos/a/1/video.mp4")
    store.put("empty", b"")
    assert store.get("empty") == b""
    assert store.exists("empty")


@pytest.mark.parametrize("size", [100_000, 12_000_000])
def test_put_file_copies(store: ArtifactStore, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"xyz" * (size // 3))
    store.put_file("a/b", source)
    source.unlink()
    assert store.get("a/b") == b"xyz" * (size // 3)


def test_absent_key(store: ArtifactStore) -> None:
    store.put("a/b", b"")
    for key in ("nothing", "a", "a/b/c"):
        assert not store.exists(key)
        for call in (store.get, store.stat, lambda key: store.read(key, Stamp(1, ""), 0, 1)):
            with pytest.raises(ArtifactMissing):
                call(key)


def test_a_value_is_created_once(store: ArtifactStore, store_url: str, access: S3Access) -> None:
    other = open_store(store_url, access)
    assert store.create("a/b", b"one")
    assert not other.create("a/b", b"two")
    assert store.create("a/b", b"one"), "whoever did it and did not hear so asks again"
    assert other.get("a/b") == b"one"
    store.delete("a/b")
    assert other.create("a/b", b"two")


def test_of_many_that_create_at_once_one_does(store_url: str, access: S3Access) -> None:
    stores = [open_store(store_url, access) for _ in range(8)]
    together = Barrier(len(stores))

    def create(number: int) -> bool:
        together.wait()
        return stores[number].create("a/receipt", b"%d" % number)

    with ThreadPoolExecutor(len(stores)) as pool:
        created = list(pool.map(create, range(len(stores))))
    assert sum(created) == 1
    assert stores[0].get("a/receipt") == b"%d" % created.index(True)
    assert stores[0].list("") == ["a/receipt"]


def test_pieces_are_of_the_value_that_was_looked_at(store: ArtifactStore) -> None:
    data = os.urandom(1_000_000)
    store.put("a/b", data)
    stamp = store.stat("a/b")
    assert stamp.bytes == len(data)
    assert store.stat("a/b") == stamp
    parts = [store.read("a/b", stamp, start, start + 300_000) for start in range(0, len(data), 300_000)]
    assert b"".join(parts) == data
    assert store.read("a/b", stamp, 10, 10) == b""
    store.put("a/b", data[::-1])
    with pytest.raises(ArtifactChanged):
        store.read("a/b", stamp, 0, 10)
    assert store.stat("a/b") != stamp
    store.delete("a/b")
    with pytest.raises(ArtifactMissing):
        store.read("a/b", stamp, 0, 10)


def test_list_and_delete_take_whole_folders_only(store: ArtifactStore) -> None:
    for key in ("erasers/aa/config.json", "erasers/aa/eraser.safetensors", "erasers/aab/config.json", "top"):
        store.put(key, b"1")
    assert store.list("erasers/aa") == ["erasers/aa/config.json", "erasers/aa/eraser.safetensors"]
    assert store.list("nothing") == []
    assert len(store.list("")) == 4
    store.delete("erasers/aa")
    store.delete("erasers/aa")
    assert store.list("") == ["erasers/aab/config.json", "top"]
    store.delete("top")
    assert store.list("") == ["erasers/aab/config.json"]


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", ".hidden", "a\\b", "a\0b", "ä", "a/b.partial", "x\n"]
)
def test_odd_keys_are_refused(store: ArtifactStore, key: str) -> None:
    for call in CALLS:
        with pytest.raises(InvalidKey):
            call(store, key)
    assert store.list("") == []


def test_a_failed_put_leaves_the_old_value_and_no_litter(store: ArtifactStore, tmp_path: Path) -> None:
    store.put("a/b", b"old")
    with pytest.raises(FileNotFoundError):
        store.put_file("a/b", tmp_path / "absent")
    assert store.get("a/b") == b"old"
    if isinstance(store, DirectoryStore):
        assert [path.name for path in (store.root / "a").iterdir()] == ["b"]


# --- A directory ------------------------------------------------------------------------------------------------------


def test_a_directory_in_the_place_of_the_store_is_not_the_store(directory: DirectoryStore, tmp_path: Path) -> None:
    store = directory
    store.put("a/b", b"1")
    reader = DirectoryStore(store.root)
    assert reader.get("a/b") == b"1"
    assert reader.list("") == ["a/b"], "its mark is no value"
    store.root.rename(tmp_path / "away")
    for left in ("nothing", "an empty directory", "another store"):
        if left == "an empty directory":
            store.root.mkdir()
        elif left == "another store":
            DirectoryStore(store.root).put("a/c", b"2")
        for one in (store, reader):
            for call in (*CALLS, lambda store, key: store.list(key)):
                with pytest.raises(StoreAway):
                    call(one, "a/b")
    shutil.rmtree(store.root)
    (tmp_path / "away").rename(store.root)
    for one in (store, reader):
        assert one.get("a/b") == b"1"
        assert one.list("") == ["a/b"]
    store.put("a/b", b"3")


def test_a_store_of_before_there_were_marks_is_taken_as_it_is(directory: DirectoryStore) -> None:
    (directory.root / "a").mkdir(parents=True)
    (directory.root / "a" / "b").write_bytes(b"1")
    assert directory.get("a/b") == b"1"
    assert not directory.exists("a/c")
    directory.put("a/c", b"2")
    assert DirectoryStore(directory.root).list("") == ["a/b", "a/c"]


def test_what_is_written_into_a_file_shows_also_where_its_times_are_put_back(directory: DirectoryStore) -> None:
    directory.put("a/b", b"1234")
    stamp, path = directory.stat("a/b"), directory.root / "a" / "b"
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"9")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArtifactChanged):
        directory.read("a/b", stamp, 0, 4)


# --- A bucket ---------------------------------------------------------------------------------------------------------


def opened(server: S3Server, bucket: str) -> S3Store:
    store = open_store(f"s3://{bucket}", server.access)
    assert isinstance(store, S3Store)
    return store


def test_a_bucket_that_was_made_anew_is_not_the_store(s3_server: S3Server, bucket: str) -> None:
    store = opened(s3_server, bucket)
    store.put("a/b", b"1")
    assert store.list("") == ["a/b"], "its mark is no value"
    s3_server.remove_bucket(bucket)
    s3_server.make_bucket(bucket)
    for left in ("an empty bucket", "another store"):
        if left == "another store":
            opened(s3_server, bucket).put("a/c", b"2")
        for call in (*CALLS, lambda store, key: store.list(key)):
            with pytest.raises(StoreAway, match=bucket):
                call(store, "a/b")


def test_what_an_operator_has_to_mend_is_told_with_its_cure(s3_server: S3Server, bucket: str) -> None:
    url, endpoint = f"s3://{bucket}/x", s3_server.endpoint
    refused = {
        "make the bucket": opened(s3_server, "test-no-such-bucket"),
        "CLEARWAY_S3_ACCESS_KEY_ID": open_store(url, S3Access(endpoint, access_key_id="who", secret_access_key="knows")),
        "CLEARWAY_S3_SECRET_ACCESS_KEY": open_store(
            url, S3Access(endpoint, access_key_id=READER_KEY_ID, secret_access_key="wrong")
        ),
    }
    for cure, store in refused.items():
        for call in (*CALLS, lambda store, key: store.list(key)):
            if cure == "make the bucket" and call is CALLS[5]:
                continue  # this server makes the bucket of whoever may
            with pytest.raises(StoreRefuses) as told:
                call(store, "a/b")
            assert "Debug" not in str(told.value)
            assert len(str(told.value)) < 200
        assert cure in str(told.value)
    opened(s3_server, bucket).put("x/a/b", b"1")
    reader = open_store(url, S3Access(endpoint, access_key_id=READER_KEY_ID, secret_access_key=READER_SECRET))
    assert reader.get("a/b") == b"1"
    for call in CALLS[4:]:
        with pytest.raises(StoreRefuses, match="allow this key"):
            call(reader, "a/b")


def test_a_server_that_does_not_answer_is_away(s3_server: S3Server, bucket: str) -> None:
    with nobody() as endpoint:
        store = open_store(f"s3://{bucket}", S3Access(endpoint, access_key_id="a", secret_access_key="b"))
        for call in (*CALLS, lambda store, key: store.list(key)):
            with pytest.raises(StoreAway, match="does not answer"):
                call(store, "a/b")


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody else can."""
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def test_what_is_not_given_the_environment_says(s3_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.access.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.access.secret_access_key)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(name, "https://elsewhere.invalid")
    open_store(f"s3://{bucket}/a", S3Access(s3_server.endpoint)).put("b", b"1")
    assert opened(s3_server, bucket).get("a/b") == b"1"


def test_secrets_are_not_shown(s3_server: S3Server) -> None:
    assert "tests" not in repr(s3_server.access)
    assert "tests" not in repr(opened(s3_server, "test"))


# --- Which store it is ------------------------------------------------------------------------------------------------


def test_open_store(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    for url in (str(folder), folder.as_uri()):
        store = open_store(url)
        assert isinstance(store, DirectoryStore)
        assert store.root == folder
    assert repr(open_store("s3://bucket/a/b/")) == "S3Store('s3://bucket/a/b')"
    for url in ("s3://", "s3:///prefix", "s3://bucket?region=x", "file://host/share", "gs://bucket", ""):
        with pytest.raises(UnsupportedStore):
            open_store(url)


def test_store_and_contract_need_no_torch() -> None:
    heavy = ("torch", "rq", "redis")
    program = f"import sys; import workers.store.s3_store, workers.contract; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StoreAway), (errno.EIO, StoreAway), (errno.EROFS, StoreAway), (errno.EMFILE, OSError)]
)
def test_what_a_file_system_refuses_is_said_of_the_store_and_nothing_else_is(
    directory: DirectoryStore, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    directory.put("a/b", b"1")
    refused = Mock(side_effect=OSError(number, os.strerror(number)))
    for name, call in (
        ("tempfile.mkstemp", lambda: directory.put("a/b", b"2")),
        ("os.fsync", lambda: directory.create("a/c", b"2")),
        ("shutil.rmtree", lambda: directory.delete("a")),
        ("os.open", lambda: directory.get("a/b")),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(name, refused)
            with pytest.raises(kind) as raised:
                call()
            assert isinstance(raised.value, StoreAway) is (kind is StoreAway)
    assert directory.get("a/b") == b"1"
    assert directory.list("") == ["a/b"], "a part of a value was left behind"


def test_a_source_that_cannot_be_read_is_not_blamed_on_the_store(directory: DirectoryStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        directory.put_file("a/b", tmp_path / "nothing")
