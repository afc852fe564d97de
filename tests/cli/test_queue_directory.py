"""Damaged or deleted files of the embedded queue server do not stop the service. The server is the real one."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree

import pytest
from redis import Redis
from redis.exceptions import RedisError

from service.embedded import commands
from service.embedded.child import Child, ChildSpec
from service.embedded.errors import ChildKeepsDying
from service.embedded.queue_directory import QueueDirectory
from service.embedded.supervisor import Supervisor
from tests.cli.test_supervisor import eventually


class Server:
    """A queue server under supervision, as `clearway up` runs it."""

    def __init__(self, directory: Path, socket: Path, supervisor: Supervisor) -> None:
        self.redis = Redis(unix_socket_path=str(socket))
        self.supervisor = supervisor
        files = QueueDirectory(directory)
        self.bare = ChildSpec(
            name="valkey",
            command=commands.valkey(directory=directory, socket=socket),
            log=directory.with_name("valkey.log"),
            stop_seconds=5,
            environment=os.environ,
        )
        self.spec = replace(self.bare, after_exit=files.after_exit, is_intact=files.is_intact)

    def start(self, spec: ChildSpec | None = None) -> Child:
        return self.supervisor.start(spec or self.spec)

    def until(self, holds: Callable[[], bool]) -> None:
        def polled() -> bool:
            self.supervisor.poll()
            return holds()

        assert eventually(polled, 60)

    def answers(self) -> bool:
        try:
            return bool(self.redis.ping())
        except RedisError:
            return False


@contextmanager
def supervised(directory: Path) -> Iterator[Server]:
    with tempfile.TemporaryDirectory(dir="/tmp") as private, Supervisor() as supervisor:
        server = Server(directory, Path(private) / "v.sock", supervisor)
        yield server
        server.redis.close()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an append-only file that is damaged in its middle."""
    monkeypatch.setattr("service.embedded.supervisor.FIRST_PAUSE_SECONDS", 0.05)
    path = tmp_path / "valkey"
    path.mkdir()
    with supervised(path) as server:
        server.start()
        server.until(server.answers)
        for number in range(50):
            server.redis.set(f"key-{number}", "value")
    (file,) = path.glob("appendonlydir/*.incr.aof")
    content = bytearray(file.read_bytes())
    content[200:260] = b"\0" * 60
    file.write_bytes(content)
    return path


def test_damaged_files_are_set_aside_and_the_server_starts_empty(directory: Path, caplog: pytest.LogCaptureFixture) -> None:
    with supervised(directory) as server, caplog.at_level(logging.WARNING):
        server.start()
        server.until(server.answers)
        assert server.redis.dbsize() == 0
    (aside,) = directory.parent.glob("valkey.damaged-*")
    assert list(aside.glob("appendonlydir/*.incr.aof"))
    assert str(aside) in caplog.text


def test_without_that_the_same_files_end_it_again_and_again(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.supervisor.MAX_FAILURES", 2)
    with supervised(directory) as server:
        server.start(server.bare)
        with pytest.raises(ChildKeepsDying, match="append only file"):
            server.until(server.answers)


def test_files_that_are_intact_stay_when_the_server_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.supervisor.FIRST_PAUSE_SECONDS", 0.05)
    (tmp_path / "valkey").mkdir()
    with supervised(tmp_path / "valkey") as server:
        first = server.start()
        server.until(server.answers)
        server.redis.set("key", "value")
        server.until(lambda: any((tmp_path / "valkey").glob("appendonlydir/*.incr.aof")))
        first.ask_to_stop()
        server.until(lambda: first.exit_code() is not None)
        server.until(server.answers)
        assert server.redis.get("key") == b"value"
    assert not list(tmp_path.glob("valkey.damaged-*"))


@pytest.mark.parametrize("what", ["valkey", "valkey/appendonlydir"])
def test_deleted_files_are_made_anew_while_it_runs(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.supervisor.FIRST_PAUSE_SECONDS", 0.05)
    (tmp_path / "valkey").mkdir()
    with supervised(tmp_path / "valkey") as server:
        first = server.start()
        server.until(server.answers)
        server.until(lambda: any((tmp_path / "valkey").glob("appendonlydir/*")))
        rmtree(tmp_path / what)
        server.until(lambda: first.exit_code() is not None)
        server.until(server.answers)
        server.redis.set("key", "value")
        assert list((tmp_path / "valkey").glob("appendonlydir/*.incr.aof"))
