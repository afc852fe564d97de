"""Artefacts of erasers in the artifact store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erasers import artefact
from erasers.errors import ArtefactError
from service.erasers.archive import FILES
from service.errors import UnavailableError
from workers.contract import eraser_key
from workers.store.artifacts import ArtifactChanged, ArtifactMissing, ArtifactStore, pieces


def kept(store: ArtifactStore, digest: str) -> bool:
    return all(store.exists(eraser_key(digest, name)) for name in FILES)


def keep(store: ArtifactStore, digest: str, directory: Path) -> None:
    """The bytes have been compared with the digest; what is there already is the same, unless it was damaged."""
    for name in FILES:
        store.put_file(eraser_key(digest, name), directory / name)


@contextmanager
def fetched(store: ArtifactStore, digest: str) -> Iterator[Path]:
    """A copy of the artefact on this machine, whose bytes have the digest; for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="clearway-eraser-") as copy:
        directory = Path(copy)
        try:
            for name in FILES:
                _copy(store, eraser_key(digest, name), directory / name)
            artefact.check_digest(directory, digest)
        except (ArtifactMissing, ArtifactChanged, ArtefactError):
            message = f"the artefact {digest} is not in the store any more, or is damaged: import it again from a copy"
            raise UnavailableError("artifact_unavailable", message) from None
        yield directory


def _copy(store: ArtifactStore, key: str, path: Path) -> None:
    stamp = store.stat(key)
    with path.open("wb") as file:
        file.writelines(pieces(store, key, stamp, 0, stamp.bytes))
