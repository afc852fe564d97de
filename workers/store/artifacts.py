"""The artifact store: where everything that is finished lives.

A key is a relative path of plain names (`videos/<id>/<attempt>/video.mp4`). A value appears whole or not at all, under a
name that was free or is overwritten whole; a reader never sees half of it. Whoever writes several keys that belong
together writes the one that declares them finished last (the receipt after the video), by `create`, which only one can.

    ArtifactError
    ├── ArtifactMissing   nothing is there
    ├── ArtifactChanged   something else is there than was looked at
    ├── InvalidKey        no key at all
    ├── UnsupportedStore  no store of this kind
    ├── StoreAway         it does not answer, does not work, or is full: later
    └── StoreRefuses      it answers, and will not: an operator has to mend something

Knows nothing of what is stored. Imports neither torch nor rq: the gateway reads the same store.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol
from urllib.parse import unquote, urlsplit

from erasers.regular_file import NotRegularFile, open_regular
from workers.private_files import DIRECTORY_MODE
from workers.store.store_mark import DirectoryMark, is_of_this_process

_SEGMENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_PARTIAL_SUFFIX = ".partial"
PIECE_BYTES = 4 * 2**20
"""Held at a time, of a value that is gone through piece by piece; with S3, what one request fetches."""


class ArtifactError(Exception):
    """Base of what a store raises."""


class ArtifactMissing(ArtifactError):
    """Nothing is stored under the key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"nothing is stored under {key!r}")
        self.key = key


class ArtifactChanged(ArtifactError):
    """Another value lies under the key than the one whose stamp was given."""

    def __init__(self, key: str) -> None:
        super().__init__(f"what is stored under {key!r} is not what it was")
        self.key = key


class StoreAway(ArtifactError):
    """The store does not answer, is full, or what lies where it was is not it. Nothing is known of any key, and nothing is
    written; it may pass."""


class StoreRefuses(ArtifactError):
    """The store is there and does not do what it is asked: no such bucket, no access. It does not pass by itself."""


class InvalidKey(ArtifactError, ValueError):
    """The key is not a relative path of plain names; it is refused before it reaches a file system."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is no artifact key: use names of letters, digits, '.', '_' and '-' joined by '/'")
        self.key = key


class UnsupportedStore(ArtifactError, ValueError):
    """The URL names a kind of store that this version does not have."""

    def __init__(self, url: str) -> None:
        super().__init__(f"cannot open an artifact store at {url!r}: use a directory path, a file:/// URL or s3://bucket/prefix")
        self.url = url


@dataclass(frozen=True)
class Stamp:
    """Of one value under one key: another value that is put there has another stamp, be it as long as the first."""

    bytes: int
    version: str


@dataclass(frozen=True)
class S3Access:
    """How a bucket is reached. What is empty here, the `AWS_…` variables say, or the machine's role."""

    endpoint: str = ""
    region: str = ""
    access_key_id: str = field(default="", repr=False)
    secret_access_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.endpoint and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError("CLEARWAY_S3_ENDPOINT must start with http:// or https://")
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("CLEARWAY_S3_ACCESS_KEY_ID and CLEARWAY_S3_SECRET_ACCESS_KEY are set both, or neither")


class ArtifactStore(Protocol):
    """What gateway and workers ask of a store."""

    def put(self, key: str, data: bytes) -> None:
        """Store `data` under `key`, durably, replacing what was there. Returns after it would survive a power cut."""

    def put_file(self, key: str, path: Path) -> None:
        """Store the bytes of a local file under `key`; the same guarantees as `put`, without holding them in memory."""

    def create(self, key: str, data: bytes) -> bool:
        """Store `data` under `key`, durably, unless something is there already, which stays. Returns whether `data` is what
        lies there now: of several that put different bytes at once, one is told so, and one that asks again is told the same."""

    def get(self, key: str) -> bytes:
        """The bytes under `key`. Raises `ArtifactMissing`, of which a store that is away is no case: that is another error."""

    def stat(self, key: str) -> Stamp:
        """What is there now, without reading it. Raises `ArtifactMissing`."""

    def read(self, key: str, stamp: Stamp, start: int, stop: int) -> bytes:
        """The bytes from `start` to before `stop` of the value that has `stamp`, for going through it piece by piece. Raises
        `ArtifactChanged` where another one is there by now, `ArtifactMissing` where none is."""

    def exists(self, key: str) -> bool: ...

    def list(self, prefix: str) -> list[str]:
        """All keys in the folder `prefix` ("" for all), at any depth, sorted. Empty where the folder is absent."""

    def delete(self, prefix: str) -> None:
        """Remove the key `prefix`, or every key in the folder `prefix`. Absent ones are no error."""


class DirectoryStore:
    """A store in a directory of this machine, or of a file system that several machines mount. It has to have hard links. Only
    the user that wrote a value can read it, so all processes run as the same user."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).resolve()
        self._mark = DirectoryMark(self.root)
        self._closed = False

    def put(self, key: str, data: bytes) -> None:
        with self._appearing(key, os.replace) as file:
            file.write(data)

    def put_file(self, key: str, path: Path) -> None:
        with open_regular(path) as source, self._appearing(key, os.replace) as file:
            shutil.copyfileobj(source, file)

    def create(self, key: str, data: bytes) -> bool:
        try:
            with self._appearing(key, _link) as file:
                file.write(data)
        except FileExistsError:
            return self.get(key) == data
        return True

    def get(self, key: str) -> bytes:
        with self._opened(key) as file:
            return file.read()

    def stat(self, key: str) -> Stamp:
        with self._opened(key) as file:
            return _stamp(file)

    def read(self, key: str, stamp: Stamp, start: int, stop: int) -> bytes:
        with self._opened(key) as file:
            file.seek(start)
            data = file.read(stop - start)
            if _stamp(file) != stamp:  # after reading: nothing of what was written meanwhile gets out
                raise ArtifactChanged(key)
        return data

    def exists(self, key: str) -> bool:
        try:
            with self._opened(key):
                return True
        except ArtifactMissing:
            return False

    def list(self, prefix: str) -> list[str]:
        self._look()
        with self._answering():
            folder = self._path(prefix) if prefix.strip("/") else self.root
            found = (path for path in folder.rglob("*") if _is_value(path))
            return sorted(path.relative_to(self.root).as_posix() for path in found)

    def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        self._look()
        with self._answering():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self.root)!r})"

    def _path(self, key: str) -> Path:
        return self.root.joinpath(*checked(key).split("/"))

    @contextmanager
    def _opened(self, key: str) -> Iterator[IO[bytes]]:
        """Raises `StoreRefuses` where the key names something else than a regular file: a value is never a link or a pipe."""
        try:
            file = open_regular(self._path(key), follow_symlinks=False)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._look()
            raise ArtifactMissing(key) from None
        except NotRegularFile as other:
            raise StoreRefuses(str(other)) from other
        except OSError as error:
            raise self._away(error) from error
        with file, self._answering():
            yield file

    def _look(self) -> None:
        """Raise `StoreAway` where the directory is not the one that it was."""
        if (trouble := self._mark.trouble()) is not None:
            raise StoreAway(trouble)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """What the file system refuses is said of the store; that this process has no more descriptors or memory is not."""
        try:
            yield
        except FileExistsError:
            raise  # of `create`
        except OSError as error:
            raise self._away(error) from error

    def _away(self, error: OSError) -> Exception:
        if is_of_this_process(error):
            return error
        return StoreAway(f"{self.root} does not work: {error.strerror or error}")

    @contextmanager
    def _appearing(self, key: str, take_name: Callable[[str, Path], None]) -> Iterator[IO[bytes]]:
        """A temporary file in the same folder that takes the key's name, after fsync, when the block ends well."""
        path = self._path(key)
        self._look()
        with self._answering(), self._partial(path) as (file, partial):
            yield file
            file.flush()
            os.fsync(file.fileno())
            take_name(partial, path)
            _sync_directory(path.parent)

    @contextmanager
    def _partial(self, path: Path) -> Iterator[tuple[IO[bytes], str]]:
        """A temporary file beside `path`, and its name. It is removed where the block fails."""
        _make_durable_directory(self.root)
        if not self._closed:
            _close_to_others(self.root)
            self._closed = True
        self._mark.make()
        self._look()
        _make_durable_directory(path.parent)
        descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=_PARTIAL_SUFFIX)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file, partial
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


def open_store(url: str, s3: S3Access | None = None) -> ArtifactStore:
    """The store at `url`: a directory's path, absolute or relative, `file:///absolute/path`, or `s3://bucket/prefix`. Asks
    nobody: whether it is there shows with the first call."""
    parts = urlsplit(url)
    if parts.scheme == "s3" and parts.netloc and not parts.query and not parts.fragment:
        from workers.store.s3_store import S3Store  # it brings a runtime of its own, for those who want it

        return S3Store(parts.netloc, parts.path.strip("/"), s3 or S3Access())
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return DirectoryStore(unquote(parts.path))
    if "://" in url or not url:
        raise UnsupportedStore(url)
    return DirectoryStore(url)


def pieces(store: ArtifactStore, key: str, stamp: Stamp, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to before `stop` of the value that has `stamp`, `PIECE_BYTES` at a time. Raises as `read` does."""
    for position in range(start, stop, PIECE_BYTES):
        yield store.read(key, stamp, position, min(position + PIECE_BYTES, stop))


def checked(key: str) -> str:
    """The key without a slash at its end. Raises `InvalidKey`."""
    plain = key.rstrip("/")
    if not all(_SEGMENT.fullmatch(segment) for segment in plain.split("/")) or key.endswith(_PARTIAL_SUFFIX):
        raise InvalidKey(key)
    return plain


def _link(partial: str, path: Path) -> None:
    """As `os.replace`, for a name that is free."""
    os.link(partial, path)
    os.unlink(partial)


def _stamp(file: IO[bytes]) -> Stamp:
    """By what a file system keeps of a file. Whoever writes to it moves its change time, and cannot put it back."""
    found = os.fstat(file.fileno())
    return Stamp(found.st_size, f"{found.st_dev}-{found.st_ino}-{found.st_mtime_ns}-{found.st_ctime_ns}")


def _make_durable_directory(path: Path) -> None:
    """`mkdir -p` whose new entries survive a power cut."""
    if path.is_dir():
        return
    _make_durable_directory(path.parent)
    try:
        path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as other:
        raise StoreRefuses(f"{path} is not a directory: remove it") from other
    _sync_directory(path.parent)


def _close_to_others(root: Path) -> None:
    """Leave the root of another user as it is: new files in it are private either way."""
    if root.stat().st_uid == os.geteuid():
        root.chmod(DIRECTORY_MODE)


def _is_value(path: Path) -> bool:
    return not path.name.startswith(".") and not path.is_symlink() and path.is_file()


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
