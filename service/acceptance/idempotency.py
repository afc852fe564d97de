"""`Idempotency-Key`: a request that is sent again under the same key is accepted once.

The claim on a key is inserted in the transaction that inserts the job. Of requests that come together one commits; the
others meet its primary key, are rolled back whole, and find the job of the first. What was refused claims nothing.

Compared is a digest of the call and of the request as it was understood, so that neither the order of JSON fields nor the
boundary of a form makes another request of it. The request itself is not kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from sqlalchemy.orm import Session

from service.auth import Caller
from service.errors import RequestError, StateError
from service.http.headers import IDEMPOTENCY_KEY
from service.schemas.base import RequestBody
from service.store import idempotency, jobs
from service.store.database import Database
from service.store.models import Job

Call = Literal["POST /generate", "POST /erasers", "POST /v1/videos"]

_TRIES = 5
"""A key that is taken names a job at once, unless it is forgotten between two looks."""

REPLAYED = {"Idempotent-Replayed": "true"}
"""Headers of an answer that tells of a job which an earlier request made."""


class Taken(Exception):
    """Another request has the key, and is committed. The transaction that raises this must not commit."""


@dataclass(frozen=True)
class Claim:
    """A request that its sender may send again under `key`, which is one of the API key `key_id`."""

    key_id: str
    key: str
    request_sha256: str

    @classmethod
    def of(cls, caller: Caller, key: str | None, call: Call, request: RequestBody) -> Claim | None:
        return None if key is None else cls(caller.key_id, key, _digest(call, request))

    def take(self, session: Session, job_id: str) -> None:
        """Before the job is inserted, in its transaction. Raises `Taken`."""
        values = {"key_id": self.key_id, "key": self.key, "request_sha256": self.request_sha256, "job_id": job_id}
        if not idempotency.insert(session, **values):
            raise Taken


@dataclass(frozen=True)
class Accepted:
    job: Job
    replayed: bool

    @property
    def headers(self) -> dict[str, str]:
        return REPLAYED if self.replayed else {}


def accept_once(database: Database, claim: Claim | None, accept: Callable[[], Job]) -> Accepted:
    """The job that the claim's key made before, or that `accept` makes now, taking the claim.

    A job that exists is found before anything of the request is checked: a replay is answered also when an eraser was retired
    or a model went away meanwhile.
    """
    for _ in range(_TRIES):
        if claim is not None and (earlier := _earlier(database, claim)) is not None:
            return Accepted(earlier, replayed=True)
        with suppress(Taken):
            return Accepted(accept(), replayed=False)
    message = "another request with this key is being accepted: try again"
    raise StateError("invalid_state", message, param=IDEMPOTENCY_KEY, retry_after_seconds=1)


def _earlier(database: Database, claim: Claim) -> Job | None:
    with database.read() as session:
        row = idempotency.get(session, key_id=claim.key_id, key=claim.key)
        job = jobs.get(session, row.job_id) if row is not None else None
    if row is None:
        return None
    if job is None:
        message = f"the request with this key was accepted as {row.job_id} and deleted since: use a new key to make another"
        raise StateError("invalid_state", message, param=IDEMPOTENCY_KEY)
    if row.request_sha256 != claim.request_sha256:
        message = f"this key was used for another request, which made {row.job_id}: use a new key for a new request"
        raise RequestError("idempotency_key_reused", message, param=IDEMPOTENCY_KEY)
    return job


def _digest(call: Call, request: RequestBody) -> str:
    """Without defaults, so that a field that a later version adds does not make another request of an old one."""
    fields = request.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(f"{call}\n{json.dumps(fields, sort_keys=True)}".encode()).hexdigest()
