"""The artifact store: where everything that is finished lives.

A key is a relative path of plain names (`videos/<id>/<attempt>/video.mp4`). A value appears whole or not at all, under a
name that was free or is overwritten whole; a reader never sees half of it. Whoever writes several keys that belong
together writes the one that declares them finished last (the receipt after the video).

Knows nothing of what is stored. Imports neither torch nor rq: the gateway reads the same store.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from workers.store_mark import Mark

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_PARTIAL_SUFFIX = ".partial"


class ArtifactError(Exception):
    """Base of what a store raises."""


class ArtifactMissing(ArtifactError):
    """Nothing is stored under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored under {key!r}")
        self.key = key


class StoreAway(ArtifactError):
    """What lies where the store was is not the store. Nothing is known of any key, and nothing is written."""


class InvalidKey(ArtifactError, ValueError):
    """The key is not a relative path of plain names; it is refused before it reaches a file system."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is no artifact key: use names of letters, digits, '.', '_' and '-' joined by '/'")
        self.key = key


class UnsupportedStore(ArtifactError, ValueError):
    """The URL names a kind of store that this version does not have."""

    def __init__(self, url: str) -> None:
        super().__init__(f"cannot open an artifact store at {url!r}: use a directory path or a file:/// URL")
        self.url = url


class ArtifactStore(Protocol):
    """What gateway and workers ask of a store."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, durably, replacing what was there. Returns after it would survive a power cut."""

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of a local file under `key`; the same guarantees as `put`, without holding them in memory."""

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ArtifactMissing`, of which a store that is away is no case: that is another error."""

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> list[str]:
        """All keys in the folder `prefix` ("" for all), at any depth, sorted. Empty where the folder is absent."""

    def delete(self, prefix: str) -> None:
        """Remove the key `prefix`, or every key in the folder `prefix`. Absent ones are no error."""

    def local_path(self, key: str) -> Path | None:
        """A file on this machine holding `key`, for sending without a copy; None where the store has no such file."""


class DirectoryStore:
    """A store in a directory of this machine, or of a file system that several machines mount."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        self._mark = Mark(self.root)

    def put(self, key: str, data: bytes) -> None:
        with self._replacing(key) as file:
            file.write(data)

    def put_file(self, key: str, path: Path) -> None:
        with self._replacing(key) as file, open(path, "rb") as source:
            shutil.copyfileobj(source, file)

    def get(self, key: str) -> bytes:
        try:
            return self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._look()
            raise ArtifactMissing(key) from None

    def exists(self, key: str) -> bool:
        return self.local_path(key) is not None

    def list(self, prefix: str) -> list[str]:
        self._look()
        folder = self._path(prefix) if prefix.strip("/") else self.root
        found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        self._look()
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def local_path(self, key: str) -> Path | None:
        path = self._path(key)
        if path.is_file():
            return path
        self._look()
        return None

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.root)!r})"

    def _path(self, key: str) -> Path:
        if not all(_SEGMENT.fullmatch(segment) for segment in key.rstrip("/").split("/")) or key.endswith(_PARTIAL_SUFFIX):
            raise InvalidKey(key)
        return self.root.joinpath(*key.rstrip("/").split("/"))

    def _look(self) -> None:
        """Raise `StoreAway` where the directory is not the one that it was."""
        if (trouble := self._mark.trouble()) is not None:
            raise StoreAway(trouble)

    @contextmanager
    def _replacing(self, key: str) -> Iterator[IO[bytes]]:
        """A temporary file in the same folder that takes the key's name, after fsync, when the block ends well."""
        path = self._path(key)
        self._look()
        _make_durable_directory(self.root)
        self._mark.make()
        self._look()
        _make_durable_directory(path.parent)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_PARTIAL_SUFFIX)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(partial, 0o644)
            os.replace(partial, path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise
        _sync_directory(path.parent)


def open_store(url: str) -> ArtifactStore:
    """The store at `url`: a directory's path, absolute or relative, or `file:///absolute/path`."""
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return DirectoryStore(unquote(parts.path))
    if "://" in url or not url:
        raise UnsupportedStore(url)
    return DirectoryStore(url)


def _make_durable_directory(path: Path) -> None:
    """`mkdir -p` whose new entries survive a power cut."""
    if path.is_dir():
        return
    _make_durable_directory(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
