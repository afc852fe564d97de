"""API keys: `ck_<id>_<secret>`, the secret 256 random bits, only its SHA-256 stored.

A slow password hash would protect guessable secrets; these are not, so SHA-256 is enough and a request costs microseconds.
The id finds the row; the digests are compared in constant time, also when there is no such id.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Literal, cast

from service.errors import CallerError
from service.store import keys
from service.store.database import Database

Role = Literal["user", "operator"]

_FORM = re.compile(r"ck_([0-9a-f]{12})_([0-9a-f]{64})")
_NO_DIGEST = "0" * 64


@dataclass(frozen=True)
class Caller:
    """Who sends the request."""

    key_id: str
    role: Role

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


def new_key() -> NewKey:
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    return NewKey(key_id=key_id, token=f"ck_{key_id}_{secret}", secret_sha256=_digest(secret))


def authenticate(database: Database, token: str | None) -> Caller:
    """Raises `CallerError` (unauthorized) with the same words for every wrong key."""
    if token is None:
        raise CallerError("unauthorized", "no API key: send the header `Authorization: Bearer ck_…`")
    match = _FORM.fullmatch(token)
    if match:
        key_id, secret = match.groups()
        with database.read() as session:
            key = keys.find_valid(session, key_id)
        if hmac.compare_digest(key.secret_sha256 if key else _NO_DIGEST, _digest(secret)) and key:
            return Caller(key_id=key.id, role=cast(Role, key.role))
    raise CallerError("unauthorized", "this API key is not valid here: it is mistyped, revoked, or of another installation")


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
