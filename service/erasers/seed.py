"""Erasers that come with a model: artefact directories, taken into the store and the registry at the start.

They are content-addressed, so taking one in twice changes nothing. The first version of a concept for an encoder becomes
active; a later one, from a newer release say, becomes a candidate, because an operator may have chosen otherwise meanwhile.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pydantic_core import PydanticCustomError
from sqlalchemy.orm import Session

import workers.contract
from erasers import artefact
from erasers.errors import ArtefactError
from service.audit import eraser_name, record
from service.domain.text import normalise_concept
from service.erasers import aliases, artefacts
from service.errors import StateError
from service.store import erasers
from service.store.database import Database
from service.store.models import EraserVersion
from workers.store.artifacts import ArtifactStore

logger = logging.getLogger(__name__)


def shipped_erasers(model: str) -> Path | None:
    """The directory of artefacts that this distribution ships for a model. Only the miniature has one."""
    directory = Path(workers.contract.__file__).parent / model / "erasers"
    return directory if model == "miniature" and directory.is_dir() else None


def take_in_all(database: Database, store: ArtifactStore, directory: Path, *, model: str) -> list[EraserVersion]:
    """Every artefact directory within `directory`. One that is damaged, or whose name is an alias, is left out and logged: its
    concept stays unknown, so that requests for it are refused."""
    taken = []
    for path in sorted(directory.iterdir()):
        if path.is_dir():
            try:
                with database.exclusive() as session:
                    taken.append(take_in(session, store, path, model=model))
            except (ArtefactError, PydanticCustomError, StateError) as error:
                logger.error("the eraser at %s is left out: %s", path, error)
    return taken


def take_in(session: Session, store: ArtifactStore, directory: Path, *, model: str) -> EraserVersion:
    """One artefact. Raises `ArtefactError` where it is damaged."""
    config = artefact.read(directory)
    digest = artefact.digest(directory)
    concept = normalise_concept(config.concept)
    if not artefacts.kept(store, digest):
        artefacts.keep(store, digest, directory)
    known = erasers.with_digest(session, concept, digest)
    if known is not None:
        return known
    aliases.check_free(session, concept)
    versions = erasers.of_concept(session, concept)
    row = erasers.insert_shipped(
        session,
        concept=concept,
        method=config.method,
        model=model,
        encoder_fingerprint=config.encoder.fingerprint,
        digest=digest,
        layer=config.layer,
        strength=config.strength,
        minimum_strength=config.minimum_strength,
        evaluation=config.evaluation,
        config=config.recipe,
        activate=all(row.encoder_fingerprint != config.encoder.fingerprint for row in versions),
    )
    if row.status == "active":
        record(session, "eraser.activated", eraser_name(row), {"digest": digest, "shipped": True}, actor=None)
    return row
