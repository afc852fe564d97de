"""The archive in which an eraser travels from one installation to another: a plain tar of two files.

    <digest>/config.json
    <digest>/eraser.safetensors

It is read header by header, and nothing else that a tar can hold is understood: no links, devices or folders, no long names,
extended headers or sparse files, no compression. So nothing expands, what is written is never more than what arrived, and
no name of the archive reaches a file system. Knows nothing of what the files say.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from tarfile import BLOCKSIZE, TarInfo
from typing import IO

from erasers.artefact import CONFIG_FILE, MAX_CONFIG_BYTES, TENSORS_FILE

FILES = (CONFIG_FILE, TENSORS_FILE)
MEDIA_TYPE = "application/x-tar"

_FORM = f"an archive holds <digest>/{CONFIG_FILE} and <digest>/{TENSORS_FILE} and nothing else"
_FOLDER = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 2**20


class ArchiveInvalid(Exception):
    """Not an archive as `pack` makes them. The message says where it differs."""


def packed_bytes(directory: Path) -> int:
    """How long the archive of an artefact is."""
    sizes = ((directory / name).stat().st_size for name in FILES)
    return sum(BLOCKSIZE + size + -size % BLOCKSIZE for size in sizes) + 2 * BLOCKSIZE


def pack(directory: Path, digest: str) -> Iterator[bytes]:
    """The archive of an artefact, in pieces. The same artefact is always the same bytes."""
    for name in FILES:
        info = TarInfo(f"{digest}/{name}")
        info.size = (directory / name).stat().st_size
        yield info.tobuf(tarfile.USTAR_FORMAT)
        with (directory / name).open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk
        yield bytes(-info.size % BLOCKSIZE)
    yield bytes(2 * BLOCKSIZE)


def unpack(archive: IO[bytes], directory: Path) -> str:
    """Puts the files into `directory`, which is empty. Returns the digest that they are said to have. Raises `ArchiveInvalid`."""
    folders: dict[str, str] = {}
    while (info := _next(archive)) is not None:
        folder, name = _place(info)
        if name in folders:
            raise ArchiveInvalid(f"{name} is in it twice: {_FORM}")
        folders[name] = folder
        _copy(archive, directory / name, info.size)
    if missing := [name for name in FILES if name not in folders]:
        raise ArchiveInvalid(f"{' and '.join(missing)} is not in it: {_FORM}")
    if len(set(folders.values())) > 1:
        raise ArchiveInvalid(f"its files lie in two folders: {_FORM}")
    return folders[CONFIG_FILE]


def _next(archive: IO[bytes]) -> TarInfo | None:
    """The next header; None at the end, after which only zeros may come."""
    block = archive.read(BLOCKSIZE)
    if len(block) == BLOCKSIZE and not any(block):
        while rest := archive.read(_CHUNK_BYTES):
            if any(rest):
                raise ArchiveInvalid(f"something comes after its end: {_FORM}")
        return None
    try:
        return TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        message = f"this is no plain tar, or not all of it ({error}); compressed archives, zip files and pickles are not read"
        raise ArchiveInvalid(message) from error


def _place(info: TarInfo) -> tuple[str, str]:
    """The folder and the name of an entry, which are those of an eraser's file."""
    shown = ascii(info.name[:200])
    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
        kind = info.type.decode("ascii", "replace")
        raise ArchiveInvalid(f"{shown} is a link, a folder, a device or an extension (type {kind!a}), and no plain file: {_FORM}")
    folder, _, name = info.name.partition("/")
    if name not in FILES or not _FOLDER.fullmatch(folder):
        raise ArchiveInvalid(f"{shown} is no file of an eraser: {_FORM}")
    if info.size < 0 or (name == CONFIG_FILE and info.size > MAX_CONFIG_BYTES):
        raise ArchiveInvalid(f"{name} has {info.size} bytes; at most {MAX_CONFIG_BYTES} are read")
    return folder, name


def _copy(archive: IO[bytes], path: Path, size: int) -> None:
    left = size
    with path.open("xb") as file:
        while left:
            chunk = archive.read(min(left, _CHUNK_BYTES))
            if not chunk:
                raise ArchiveInvalid(f"it ends within {path.name}, {left} bytes too early")
            file.write(chunk)
            left -= len(chunk)
    if any(archive.read(-size % BLOCKSIZE)):
        raise ArchiveInvalid(f"something stands between the files, after {path.name}")
