"""Artefacts are read from regular files, without waiting for what is none."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from erasers import artefact
from erasers.errors import ArtefactInvalid
from erasers.regular_file import NotRegularFile, open_regular


@contextmanager
def without_waiting(seconds: int = 5) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("it waits")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", ["config.json", "eraser.safetensors"])
@pytest.mark.parametrize(
    "read",
    [artefact.digest, artefact.read, lambda directory: [artefact.read_bytes(directory, name) for name in os.listdir(directory)]],
)
def test_a_pipe_in_an_artefact_is_refused_at_once(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    for other in {"config.json", "eraser.safetensors"} - {name}:
        (tmp_path / other).write_bytes(b"")
    os.mkfifo(tmp_path / name)
    with without_waiting(), pytest.raises(ArtefactInvalid):
        read(tmp_path)
    with without_waiting(), pytest.raises(ArtefactInvalid, match="a named pipe and not a regular file"):
        artefact.read_bytes(tmp_path, name)


def test_links_are_followed_only_where_they_may_be(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"content")
    (tmp_path / "config.json").symlink_to("blob")
    assert artefact.read_bytes(tmp_path, "config.json") == b"content", "as in a cache of downloads"
    with pytest.raises(NotRegularFile, match="a symbolic link"):
        open_regular(tmp_path / "config.json", follow_symlinks=False)


def test_what_is_missing_and_what_is_a_directory_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(ArtefactInvalid, match="does not exist"):
        artefact.read_bytes(tmp_path / "nothing", "config.json")
