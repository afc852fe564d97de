"""An artifact store in a bucket of S3, or of a server that speaks S3.

What a directory does by renaming, the server does by itself: an object appears whole, and `If-None-Match: *` lets one of several
writers create it. A key that is not there is believed only of a bucket with the mark that was seen before. What is read in
pieces is pinned to one version by `If-Match`.

Waits for nothing beyond one request and its repetitions: `workers.store.patience` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store as Bucket

from erasers.regular_file import open_regular
from workers.store.artifacts import ArtifactChanged, ArtifactMissing, S3Access, Stamp, StoreAway, checked
from workers.store.s3_errors import translating
from workers.store.store_mark import FILE_NAME, Mark

_CONNECT_TIMEOUT = timedelta(seconds=5)
_REQUEST_TIMEOUT = timedelta(seconds=60)
"""Of one request and its answer; a part of an upload has 5 MiB."""
_RETRIES = 2
_RETRY_TIMEOUT = timedelta(seconds=10)


class S3Store:
    def __init__(self, bucket: str, prefix: str, access: S3Access) -> None:
        self._place = f"s3://{bucket}/{prefix}".rstrip("/")
        given = {
            "aws_endpoint_url_s3": access.endpoint,  # before any variable that names one
            "region": access.region,
            "access_key_id": access.access_key_id,
            "secret_access_key": access.secret_access_key,
        }
        self._bucket = Bucket(
            bucket,
            prefix=prefix or None,
            config={name: value for name, value in given.items() if value},  # type: ignore[arg-type] # one by one they are
            client_options={
                "allow_http": access.endpoint.startswith("http://"),  # who wrote so wants it
                "connect_timeout": _CONNECT_TIMEOUT,
                "timeout": _REQUEST_TIMEOUT,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _RETRY_TIMEOUT},
        )
        self._mark = _BucketMark(self._bucket, self._place)

    def put(self, key: str, data: bytes) -> None:
        key = checked(key)
        self._prepare()
        with translating(self._place, key):
            obstore.put(self._bucket, key, data)

    def put_file(self, key: str, path: Path) -> None:
        key = checked(key)
        with open_regular(path) as file:
            self._prepare()
            with translating(self._place, key):
                obstore.put(self._bucket, key, file)

    def create(self, key: str, data: bytes) -> bool:
        key = checked(key)
        self._prepare()
        with translating(self._place, key):
            try:
                obstore.put(self._bucket, key, data, mode="create")
            except AlreadyExistsError:
                return self.get(key) == data  # also where the first answer was lost, and the client asked again
        return True

    def get(self, key: str) -> bytes:
        key = checked(key)
        with self._reading(key):
            return bytes(obstore.get(self._bucket, key).bytes())

    def stat(self, key: str) -> Stamp:
        key = checked(key)
        with self._reading(key):
            return _stamp(obstore.head(self._bucket, key))

    def read(self, key: str, stamp: Stamp, start: int, stop: int) -> bytes:
        key, stop = checked(key), min(stop, stamp.bytes)
        if start >= stop:
            return b""
        with self._reading(key):
            found = obstore.get(self._bucket, key, options={"range": (start, stop)})
            if _stamp(found.meta) != stamp:
                raise ArtifactChanged(key)
            return bytes(found.bytes())

    def exists(self, key: str) -> bool:
        try:
            self.stat(key)
        except ArtifactMissing:
            return False
        return True

    def list(self, prefix: str) -> list[str]:
        folder = checked(prefix) if prefix.strip("/") else None
        self._look()
        with translating(self._place):
            return sorted(found["path"] for found in obstore.list(self._bucket, folder).collect() if found["path"] != FILE_NAME)

    def delete(self, prefix: str) -> None:
        prefix = checked(prefix)
        paths = [prefix, *self.list(prefix)]
        with translating(self._place, prefix):
            obstore.delete(self._bucket, paths)

    def __repr__(self) -> str:
        return f"S3Store({self._place!r})"

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        """What is not there is so only in the bucket that was seen before."""
        try:
            with translating(self._place, key):
                yield
        except ArtifactMissing:
            self._look()
            raise

    def _prepare(self) -> None:
        self._look()
        if self._mark.make():
            self._look()

    def _look(self) -> None:
        """Raise `StoreAway` where the bucket is not the one that it was."""
        if (trouble := self._mark.trouble()) is not None:
            raise StoreAway(trouble)


class _BucketMark(Mark):
    def __init__(self, bucket: Bucket, place: str) -> None:
        super().__init__(place, "was it emptied, or made anew?")
        self._bucket = bucket

    def _read(self) -> str:
        try:
            with translating(self._place, FILE_NAME):
                return bytes(obstore.get(self._bucket, FILE_NAME).bytes()).decode()
        except ArtifactMissing:
            return ""

    def _create(self, word: str) -> None:
        with translating(self._place, FILE_NAME):
            try:
                obstore.put(self._bucket, FILE_NAME, word.encode(), mode="create")
            except AlreadyExistsError:
                return


def _stamp(meta: obstore.ObjectMeta) -> Stamp:
    return Stamp(meta["size"], f"{meta['e_tag']}-{meta['version']}-{meta['last_modified'].isoformat()}")
