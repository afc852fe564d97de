"""The directory store: whole values only, plain keys only."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from workers.artifacts import ArtifactMissing, DirectoryStore, InvalidKey, StoreAway, UnsupportedStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "artifacts")


def test_what_is_put_comes_back(store: DirectoryStore) -> None:
    store.put("videos/a/1/video.mp4", b"one")
    store.put("videos/a/1/video.mp4", b"two")
    assert store.get("videos/a/1/video.mp4") == b"two"
    assert store.exists("videos/a/1/video.mp4")
    path = store.local_path("videos/a/1/video.mp4")
    assert path is not None
    assert path.read_bytes() == b"two"


def test_put_file_copies(store: DirectoryStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * 100_000)
    store.put_file("a/b", source)
    source.unlink()
    assert store.get("a/b") == b"x" * 100_000


def test_absent_key(store: DirectoryStore) -> None:
    store.put("a/b", b"")
    for key in ("nothing", "a", "a/b/c"):
        assert not store.exists(key)
        assert store.local_path(key) is None
        with pytest.raises(ArtifactMissing):
            store.get(key)


def test_list_and_delete_take_whole_folders_only(store: DirectoryStore) -> None:
    for key in ("erasers/aa/config.json", "erasers/aa/eraser.safetensors", "erasers/aab/config.json", "top"):
        store.put(key, b"1")
    assert store.list("erasers/aa") == ["erasers/aa/config.json", "erasers/aa/eraser.safetensors"]
    assert store.list("nothing") == []
    assert len(store.list("")) == 4
    store.delete("erasers/aa")
    store.delete("erasers/aa")
    assert store.list("") == ["erasers/aab/config.json", "top"]


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/./b", ".hidden", "a\\b", "a\0b", "ä", "a/b.partial", "x\n"]
)
def test_odd_keys_are_refused(store: DirectoryStore, key: str) -> None:
    for call in (store.get, store.exists, store.local_path, store.delete, lambda k: store.put(k, b"")):
        with pytest.raises(InvalidKey):
            call(key)
    assert store.list("") == []


def test_a_failed_put_leaves_the_old_value_and_no_litter(store: DirectoryStore, tmp_path: Path) -> None:
    store.put("a/b", b"old")
    with pytest.raises(FileNotFoundError):
        store.put_file("a/b", tmp_path / "absent")
    assert store.get("a/b") == b"old"
    assert [path.name for path in (store.root / "a").iterdir()] == ["b"]


def test_a_directory_in_the_place_of_the_store_is_not_the_store(store: DirectoryStore, tmp_path: Path) -> None:
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
            calls = (one.get, one.exists, one.local_path, one.list, one.delete, lambda key, one=one: one.put(key, b"3"))
            for call in calls:
                with pytest.raises(StoreAway):
                    call("a/b")
    shutil.rmtree(store.root)
    (tmp_path / "away").rename(store.root)
    for one in (store, reader):
        assert one.get("a/b") == b"1"
        assert one.list("") == ["a/b"]
    store.put("a/b", b"3")


def test_a_store_of_before_there_were_marks_is_taken_as_it_is(store: DirectoryStore) -> None:
    (store.root / "a").mkdir(parents=True)
    (store.root / "a" / "b").write_bytes(b"1")
    assert store.get("a/b") == b"1"
    assert not store.exists("a/c")
    store.put("a/c", b"2")
    assert DirectoryStore(store.root).list("") == ["a/b", "a/c"]


def test_open_store(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    for url in (str(folder), folder.as_uri()):
        store = open_store(url)
        assert isinstance(store, DirectoryStore)
        assert store.root == folder
    for url in ("s3://bucket/prefix", "file://host/share", ""):
        with pytest.raises(UnsupportedStore):
            open_store(url)


def test_store_and_contract_need_no_torch() -> None:
    heavy = ("torch", "rq", "redis")
    program = f"import sys; import workers.artifacts, workers.contract; sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
