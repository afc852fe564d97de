"""Importing: an archive from another installation becomes a candidate here, and an evaluation of it is started.

Nothing is believed that can be computed or measured: the digest is that of the bytes which arrived, compared with the one that
the archive says, and with the one that the operator expects; the numbers in the artifact are kept as the sender's claim. The
same artifact again is the version that it became the first time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO

from erasers import artefact
from erasers.artefact import ArtefactConfig
from erasers.errors import ArtefactInvalid
from service.acceptance.evaluations import insert_evaluation
from service.acceptance.limits import allow
from service.audit import eraser_name, record
from service.auth import Caller
from service.erasers import aliases, artefacts, foreign
from service.erasers.archive import ArchiveInvalid, unpack
from service.errors import RequestError, StateError
from service.gateway import Gateway
from service.schemas.erasers import EvaluateRequest
from service.store import erasers
from service.store.models import EraserVersion

_SHOWN = 500


def import_eraser(
    archive: IO[bytes], gateway: Gateway, caller: Caller, *, expected_digest: str | None
) -> tuple[EraserVersion, bool]:
    """The version, and whether it is new; then its evaluation is queued. Raises `ServiceError`."""
    with tempfile.TemporaryDirectory(prefix="clearway-import-") as folder:
        directory = Path(folder)
        digest = _unpacked(archive, directory, expected_digest)
        config = _read(directory)
        concept = foreign.concept_of(config)
        card = foreign.model_of(config, gateway.catalogue.cards(), gateway.catalogue.default_model)
        artefacts.keep(gateway.store, digest, directory)
    with gateway.database.exclusive() as session:
        known = erasers.with_digest(session, concept, digest)
        if known is not None:
            return known, False
        if not artefacts.kept(gateway.store, digest):
            message = "the same artifact was just removed with a version that was deleted: import it again"
            raise StateError("invalid_state", message, retry_after_seconds=1)
        aliases.check_free(session, concept)
        allow(gateway, session, caller)
        row = erasers.insert_shipped(
            session,
            concept=concept,
            method=config.method,
            model=card.id,
            encoder_fingerprint=card.encoder_fingerprint,
            digest=digest,
            layer=config.layer,
            strength=config.strength,
            minimum_strength=config.minimum_strength,
            evaluation=None,
            claimed_evaluation=config.evaluation,
            config=config.recipe,
            activate=False,
        )
        names = ("digest", "method", "model", "encoder_fingerprint")
        record(session, "eraser.imported", eraser_name(row), {name: getattr(row, name) for name in names}, actor=caller.key_id)
        job = insert_evaluation(
            session, row, EvaluateRequest(), key_id=caller.key_id, interaction_erasers=gateway.interaction_erasers
        )
    gateway.metrics.accepted(job)
    gateway.window.fill()
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
