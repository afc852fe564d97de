from __future__ import annotations

import os
import re
import socket
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from service.embedded.data_dir import DataDir
from service.embedded.errors import DataDirLocked, DataDirUnusable, RuntimeDirectoryRefused
from service.first_start import ensure_operator_key
from service.settings import Settings
from service.store.database import Database
from workers.common_settings import CommonSettings, SettingsInvalid
from workers.runtime_directory import make_runtime_directory, runtime_directory, socket_path

ODD_NAME = "my data #1 ?x=2 %41 é"
"""What URLs read as something else, and what splits a line of words."""


def made(path: Path) -> DataDir:
    data_dir = DataDir(path)
    data_dir.make()
    return data_dir


def test_naming_a_directory_makes_nothing(tmp_path: Path) -> None:
    assert DataDir(tmp_path / "typo").url() is None
    assert not (tmp_path / "typo").exists()


def test_one_holder_at_a_time_and_the_second_hears_where_the_first_serves(tmp_path: Path) -> None:
    with DataDir(tmp_path).lock() as publish:
        publish("http://127.0.0.1:1234")
        with pytest.raises(DataDirLocked, match=r"http://127\.0\.0\.1:1234"), DataDir(tmp_path).lock():
            pytest.fail("locked twice")
        assert DataDir(tmp_path).url() == "http://127.0.0.1:1234"
    assert DataDir(tmp_path).url() is None
    with DataDir(tmp_path).lock():
        assert DataDir(tmp_path).url() is None


def test_the_directory_is_its_owners_alone(tmp_path: Path) -> None:
    made(tmp_path / "a" / "b")
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["data", "/".join(["directory"] * 30), ODD_NAME])
def test_the_socket_is_short_plain_and_private_whatever_the_directory_is_called(tmp_path: Path, name: str) -> None:
    data_dir = made(tmp_path / name)
    with data_dir.socket() as path, socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fsencode(path))
        assert re.fullmatch(r"[a-z0-9/.-]{1,80}", str(path))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert Settings(data_dir=data_dir.path).redis_url.get_secret_value() == f"unix://{path}"
    assert not path.parent.exists()


def test_a_socket_left_by_a_killed_server_is_removed(tmp_path: Path) -> None:
    make_runtime_directory(tmp_path)
    socket_path(tmp_path).touch()
    with DataDir(tmp_path).socket() as path:
        assert not path.exists()


def test_a_runtime_directory_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    """Anybody can create names in /tmp."""
    planted = runtime_directory(tmp_path)
    try:
        planted.symlink_to(tmp_path)
        with pytest.raises(RuntimeDirectoryRefused, match="not a private directory"), DataDir(tmp_path).socket():
            pytest.fail("used somebody else's directory")
        planted.unlink()
        planted.touch()
        with pytest.raises(RuntimeDirectoryRefused), DataDir(tmp_path).socket():
            pytest.fail("used a file")
    finally:
        planted.unlink()


def test_a_lax_runtime_directory_of_this_user_is_closed(tmp_path: Path) -> None:
    runtime_directory(tmp_path).mkdir(mode=0o755)
    with DataDir(tmp_path).socket() as path:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_database_lies_in_the_directory_whatever_it_is_called(tmp_path: Path) -> None:
    data_dir = made(tmp_path / ODD_NAME)
    with closing(Database(Settings(data_dir=data_dir.path).database_url.get_secret_value())) as database:
        database.migrate()
    assert (data_dir.path / "clearway.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [ODD_NAME]


@pytest.mark.parametrize("unusable", ["file", "missing"])
def test_a_directory_that_cannot_be_used_is_refused_with_the_cure(tmp_path: Path, unusable: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" if unusable == "file" else Path("/proc/clearway")
    with pytest.raises(DataDirUnusable, match="Choose another --data-dir"):
        made(path)


def test_the_queue_key_is_generated_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARWAY_QUEUE_KEY", raising=False)
    data_dir = made(tmp_path)
    with pytest.raises(SettingsInvalid, match="CLEARWAY_QUEUE_KEY is not set"):
        CommonSettings(data_dir=tmp_path).queue_keys()
    data_dir.ensure_queue_key()
    keys = CommonSettings(data_dir=tmp_path).queue_keys()
    data_dir.ensure_queue_key()
    assert CommonSettings(data_dir=tmp_path).queue_keys() == keys
    assert stat.S_IMODE((tmp_path / "queue.key").stat().st_mode) == 0o600


def test_a_gateway_without_a_queue_key_does_not_start(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLEARWAY_")}
    command = [sys.executable, "-m", "service", "gateway", "--port", "1"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment | {"CLEARWAY_DATA_DIR": str(tmp_path)}
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: CLEARWAY_QUEUE_KEY is not set")


def modes(root: Path) -> dict[str, int]:
    """Mode of the directory and of everything in it, by relative path."""
    return {str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode) for path in (root, *root.rglob("*"))}


def open_data_directory(path: Path) -> None:
    """A data directory as another program might have made it: everybody reads everything."""
    for name in ("logs/gateway.log", "valkey/appendonlydir/a.aof", "artifacts/videos/a/video.mp4", "checkpoints/t/pairs.jsonl"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).touch()
    for name in ("clearway.db", "clearway.db-wal", "clearway.db-shm", "operator.key", "queue.key", "up.lock"):
        (path / name).touch()
    for found in (path, *path.rglob("*")):
        found.chmod(0o755 if found.is_dir() else 0o644)


def test_what_was_open_to_other_users_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "data"
    open_data_directory(path)
    (path / "somebody.txt").touch(mode=0o644)
    data_dir = made(path)
    with data_dir.lock():
        data_dir.ensure_queue_key()
    found = modes(path)
    assert found.pop("somebody.txt") == 0o644, "not Clearway's"
    assert {name: mode for name, mode in found.items() if mode != (0o700 if (path / name).is_dir() else 0o600)} == {}


def test_new_files_are_private_whatever_the_umask_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.umask(0)
    try:
        data_dir = made(tmp_path / "data")
        with data_dir.lock():
            data_dir.ensure_queue_key()
        with closing(Database(Settings(data_dir=data_dir.path).database_url.get_secret_value())) as database:
            database.migrate()
            ensure_operator_key(database, data_dir.operator_key)
            found = modes(data_dir.path)
    finally:
        os.umask(before)
    assert {"clearway.db", "clearway.db-wal", "operator.key", "queue.key", "up.lock"} < set(found)
    assert {name: mode for name, mode in found.items() if mode & 0o077} == {}


def test_an_open_database_elsewhere_is_closed_with_its_log(tmp_path: Path) -> None:
    for name in ("clearway.db", "clearway.db-wal"):
        (tmp_path / name).touch(mode=0o644)
    with closing(Database(f"sqlite:///{tmp_path / 'clearway.db'}")):
        assert modes(tmp_path)["clearway.db"] == modes(tmp_path)["clearway.db-wal"] == 0o600


def test_a_link_in_the_directory_changes_no_file_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch(mode=0o644)
    (tmp_path / "data" / "artifacts").mkdir(parents=True)
    (tmp_path / "data" / "artifacts" / "link").symlink_to(elsewhere)
    made(tmp_path / "data")
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o644


@pytest.mark.parametrize("theirs", [".", "operator.key"])
def test_what_belongs_to_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str) -> None:
    made(tmp_path).operator_key.touch()
    if theirs == ".":
        monkeypatch.setattr("workers.private_files.os.geteuid", lambda: os.getuid() + 1)
    elif os.getuid() == 0:
        os.chown(tmp_path / theirs, 65534, -1)
    else:
        pytest.skip("only root gives files away")
    with pytest.raises(DataDirUnusable, match="it belongs to the user") as refused:
        made(tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("part", ["gateway", "worker"])
def test_no_part_starts_in_the_directory_of_another_user(tmp_path: Path, part: str) -> None:
    if os.getuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(tmp_path, 65534, -1)
    environment = os.environ | {"CLEARWAY_DATA_DIR": str(tmp_path), "CLEARWAY_QUEUE_KEY": "k" * 64}
    command = [sys.executable, "-m", "service", part]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert f"{tmp_path} cannot be made private: it belongs to the user 65534" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_part_creates_private_files(tmp_path: Path) -> None:
    code = "import sys; from service.cli.parts import _become; _become([sys.executable, '-c', \"open('made', 'w')\"])"
    subprocess.run([sys.executable, "-c", f"import os; os.umask(0); {code}"], check=True, cwd=tmp_path)
    assert modes(tmp_path)["made"] == 0o600
