"""Artefacts of erasers in the artifact store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erasers import artefact
from erasers.errors import ArtefactError
from service.archive import FILES
from service.errors import UnavailableError
from workers.artifacts import ArtifactMissing, ArtifactStore
from workers.contract import eraser_key


def kept(store: ArtifactStore, digest: str) -> bool:
    return all(store.exists(eraser_key(digest, name)) for name in FILES)


def keep(store: ArtifactStore, digest: str, directory: Path) -> None:
    """The bytes have been compared with the digest; what is there already is the same, unless it was damaged."""
    for name in FILES:
        store.put_file(eraser_key(digest, name), directory / name)


@contextmanager
def fetched(store: ArtifactStore, digest: str) -> Iterator[Path]:
    """A directory of this machine with the artefact, whose bytes have the digest; for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="clearway-eraser-") as copy:
        paths = [store.local_path(eraser_key(digest, name)) for name in FILES]
        directory = Path(copy) if paths[0] is None else paths[0].parent
        try:
            if paths[0] is None:
                for name in FILES:
                    (directory / name).write_bytes(store.get(eraser_key(digest, name)))
            artefact.check_digest(directory, digest)
        except (ArtifactMissing, ArtefactError):
            message = f"the artefact {digest} is not in the store any more, or is damaged: import it again from a copy"
            raise UnavailableError("artifact_unavailable", message) from None
        yield directory
