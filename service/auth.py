"""API keys: `ck_<id>_<secret>`, the secret 256 random bits, only its SHA-256 stored.

A slow password hash would protect guessable secrets; these are not, so SHA-256 is enough and a request costs microseconds.
The id finds the row; the digests are compared in constant time, also when there is no such id. That a key has expired is told
only to whoever has its secret.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast

from sqlalchemy.exc import SQLAlchemyError

from service.domain.roles import Role
from service.errors import CallerError
from service.schemas.keys import MAX_GRACE_SECONDS
from service.store import clock, keys
from service.store.database import Database
from service.store.models import ApiKey

logger = logging.getLogger(__name__)


_FORM = re.compile(r"ck_([0-9a-f]{12})_([0-9a-f]{64})")
_NO_DIGEST = "0" * 64
_NOTED_FOR = timedelta(minutes=1)
"""Use is noted so often at most: a request that only reads stays one that only reads."""


@dataclass(frozen=True)
class Caller:
    """Who sends the request."""

    key_id: str
    role: Role
    requests_per_minute: int | None = None
    """The key's limit of creating calls; None is no limit."""

    @property
    def sees_key(self) -> str | None:
        """Whose jobs the caller may see: its own key's, or (None) everybody's."""
        return None if self.role == "operator" else self.key_id


@dataclass(frozen=True)
class NewKey:
    """A key at the only moment when its secret is known."""

    key_id: str
    token: str
    secret_sha256: str


def new_key(key_id: str | None = None) -> NewKey:
    """Of an existing key: another secret."""
    key_id, secret = key_id or secrets.token_hex(6), secrets.token_hex(32)
    return NewKey(key_id=key_id, token=f"ck_{key_id}_{secret}", secret_sha256=_digest(secret))


def authenticate(database: Database, token: str | None) -> Caller:
    """Raises `CallerError`: `unauthorized` with the same words for every wrong key, `key_expired` for one that was right."""
    if token is None:
        raise CallerError("unauthorized", "no API key: send the header `Authorization: Bearer ck_…`")
    match = _FORM.fullmatch(token)
    if match:
        key_id, secret = match.groups()
        with database.read() as session:
            key = keys.find_valid(session, key_id)
            ends = key is not None and (key.expires_at or key.previous_until) is not None
            now = clock.now(session) if ends else datetime.now(UTC)
        digest = _digest(secret)
        current = hmac.compare_digest(key.secret_sha256 if key else _NO_DIGEST, digest)
        previous = hmac.compare_digest((key and key.previous_sha256) or _NO_DIGEST, digest)
        if key and (current or previous):
            _check_time(key, current, now)
            _note_use(database, key, now)
            return Caller(key_id=key.id, role=cast(Role, key.role), requests_per_minute=key.requests_per_minute)
    raise CallerError("unauthorized", "this API key is not valid here: it is mistyped, revoked, or of another installation")


def _check_time(key: ApiKey, current: bool, now: datetime) -> None:
    if key.expires_at is not None and key.expires_at <= now:
        raise CallerError("key_expired", f"this API key expired at {key.expires_at:%Y-%m-%d %H:%M:%S} UTC: ask an operator")
    if not current and (key.previous_until is None or not now < key.previous_until <= now + timedelta(seconds=MAX_GRACE_SECONDS)):
        raise CallerError("key_expired", "this API key was rotated and has another secret now: use the new one")


def _note_use(database: Database, key: ApiKey, now: datetime) -> None:
    if key.last_used_at is not None and timedelta() <= now - key.last_used_at < _NOTED_FOR:
        return
    try:
        with database.write() as session:
            keys.used(session, key.id, at=now, noted_before=now - _NOTED_FOR)
    except SQLAlchemyError as error:  # nobody is turned away for it
        logger.warning("the use of key %s is not noted, the database does not answer: %s", key.id, error)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
