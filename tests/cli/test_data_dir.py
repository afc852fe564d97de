from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from service.embedded.data_dir import DataDir
from service.embedded.errors import DataDirLocked


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


@pytest.mark.parametrize("depth", [0, 30])
def test_the_socket_path_can_be_bound_however_long_the_directory_is(tmp_path: Path, depth: int) -> None:
    data_dir = made(tmp_path.joinpath(*["directory"] * depth))
    with data_dir.socket() as path, socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fsencode(path))
        assert path.is_relative_to(data_dir.path) == (depth == 0)
        assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert depth == 0 or not path.parent.exists()


def test_a_socket_left_by_a_killed_server_is_removed(tmp_path: Path) -> None:
    (tmp_path / "valkey.sock").touch()
    with DataDir(tmp_path).socket() as path:
        assert not path.exists()
