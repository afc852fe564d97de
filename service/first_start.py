"""What a first start makes: the operator key. Later starts find it there."""

from __future__ import annotations

import logging
from pathlib import Path

from service.audit import record
from service.auth import new_key
from service.store import keys
from service.store.database import Database
from workers.private_files import make_private_directory, write_private

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
        make_private_directory(path.parent)
        write_private(path, key.token + "\n")
    logger.info("made the first operator key: %s", path)
