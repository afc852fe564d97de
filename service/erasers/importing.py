"""Importing: an archive from another installation becomes a candidate here.

Nothing is believed that can be computed: the digest is that of the bytes which arrived, compared with the one that the
archive says, and with the one that the operator expects. What fits is put into the store and the registry as a new
version, inactive; the same artefact again is the version that it became the first time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

from erasers import artefact
from erasers.artefact import ArtefactConfig
from erasers.errors import ArtefactInvalid
from service.audit import eraser_name, record
from service.catalogue import Catalogue
from service.erasers import aliases, artefacts, foreign
from service.erasers.archive import ArchiveInvalid, unpack
from service.errors import RequestError
from service.store import erasers
from service.store.database import Database
from service.store.models import EraserVersion
from workers.store.artifacts import ArtifactStore

_SHOWN = 500


def import_eraser(
    archive: IO[bytes], database: Database, store: ArtifactStore, catalogue: Catalogue, *, expected_digest: str | None, actor: str
) -> tuple[EraserVersion, bool]:
    """The version, and whether it is new. Raises `ServiceError`."""
    with tempfile.TemporaryDirectory(prefix="clearway-import-") as folder:
        directory = Path(folder)
        digest = _unpacked(archive, directory, expected_digest)
        config = _read(directory)
        concept = foreign.concept_of(config)
        card = foreign.model_of(config, catalogue.cards(), catalogue.default_model)
        artefacts.keep(store, digest, directory)
    with database.exclusive() as session:
        known = erasers.with_digest(session, concept, digest)
        if known is not None:
            return known, False
        aliases.check_free(session, concept)
        row = erasers.insert_shipped(
            session,
            concept=concept,
            method=config.method,
            model=card.id,
            encoder_fingerprint=card.encoder_fingerprint,
            digest=digest,
            layer=config.layer,
            strength=config.strength,
            evaluation=config.evaluation,
            config=config.recipe,
            activate=False,
        )
        names = ("digest", "method", "model", "encoder_fingerprint")
        record(session, "eraser.imported", eraser_name(row), {name: getattr(row, name) for name in names}, actor=actor)
    return row, True


def _unpacked(archive: IO[bytes], directory: Path, expected: str | None) -> str:
    """The digest, of the bytes themselves."""
    try:
        said = unpack(archive, directory)
    except ArchiveInvalid as error:
        raise RequestError("invalid_archive", str(error)) from error
    digest = artefact.digest(directory)
    if digest != said:
        raise RequestError(
            "digest_mismatch", f"the archive says that it holds {said}, but its bytes are {digest}: fetch it again"
        )
    if expected is not None and digest != expected:
        raise RequestError("digest_mismatch", f"the archive holds {digest}, and not {expected}", param="digest")
    return digest


def _read(directory: Path) -> ArtefactConfig:
    try:
        return artefact.read(directory)
    except ArtefactInvalid as error:
        raise RequestError("invalid_eraser", str(error)[:_SHOWN]) from error
