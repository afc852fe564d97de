"""What a first start makes: the operator key. Later starts find it there."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from service.audit import record
from service.auth import new_key
from service.store import keys
from service.store.database import Database

logger = logging.getLogger(__name__)


def ensure_operator_key(database: Database, path: Path) -> None:
    """Without any operator key that lasts, make one, without limits, and write it to `path`, readable by its owner alone.

    The file is complete before the database commits: a crash in between leaves a file that the next start replaces, never
    a key that nobody knows.
    """
    with database.exclusive() as session:
        if keys.count_lasting_operators(session):
            return
        key = new_key()
        keys.insert(session, key_id=key.key_id, name="first operator", role="operator", secret_sha256=key.secret_sha256)
        record(session, "key.created", key.key_id, {"name": "first operator", "role": "operator"}, actor=None)
        _write_private(path, key.token + "\n")
    logger.info("made the first operator key: %s", path)


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
