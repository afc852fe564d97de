"""From what the S3 client raises to what a store raises. One table; the answer's own words decide where the class does not.

Waited for is what may pass: no connection, no answer in time, a server in trouble, throttling, a quota or a disk that is full.
What the server refuses otherwise stays refused until somebody mends the bucket, its permissions or the settings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions as client

from workers.store.artifacts import ArtifactChanged, ArtifactError, ArtifactMissing, StoreAway, StoreRefuses

CURES = {
    "NoSuchBucket": "make the bucket, or name another one in CLEARWAY_ARTIFACTS_URL",
    "InvalidBucketName": "name a bucket in CLEARWAY_ARTIFACTS_URL",
    "InvalidAccessKeyId": "set CLEARWAY_S3_ACCESS_KEY_ID, or the AWS_… variables",
    "SignatureDoesNotMatch": "set CLEARWAY_S3_SECRET_ACCESS_KEY, or the AWS_… variables",
    "AccessDenied": "allow this key to get, put, list and delete objects of the bucket",
    "PermanentRedirect": "set CLEARWAY_S3_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set CLEARWAY_S3_REGION to the bucket's region",
}
_CURE = "look at CLEARWAY_ARTIFACTS_URL, CLEARWAY_S3_ENDPOINT and the permissions of the key"

_PASSING_CODES = re.compile(r"Quota|StorageFull|DiskFull|SlowDown|Timeout|TryAgain|OperationAborted|ConcurrentUpdate")
_PASSING_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 507, 509})

KINDS: dict[type[BaseException], type[ArtifactError] | None] = {
    client.BaseError: None,
    client.GenericError: None,
    FileNotFoundError: ArtifactMissing,
    client.NotFoundError: ArtifactMissing,
    client.PreconditionError: ArtifactChanged,
    client.NotModifiedError: ArtifactChanged,
    client.PermissionDeniedError: None,
    client.UnauthenticatedError: StoreRefuses,
    client.NotSupportedError: StoreRefuses,
    client.UnknownConfigurationKeyError: StoreRefuses,
    client.InvalidPathError: StoreRefuses,
    client.AlreadyExistsError: ArtifactChanged,  # `create` does not let it come here
    client.JoinError: StoreAway,
}
"""None where the words of the answer decide."""


def translated(error: BaseException, place: str, key: str) -> ArtifactError:
    """`place` is the bucket, as an operator knows it."""
    words = str(error).partition("Debug source")[0]
    code = _found(r"<Code>(\w+)</Code>", words) or _found(r"\(code: (\w+)\)", words)
    status = _found(r"status code: (\d{3})", words)
    kind = KINDS[next(known for known in type(error).__mro__ if known in KINDS)]
    if code == "NoSuchBucket":
        kind = StoreRefuses
    if kind is None:
        kind = StoreAway if _may_pass(error, code, status) else StoreRefuses
    if kind is ArtifactMissing or kind is ArtifactChanged:
        return kind(key)
    if kind is StoreRefuses:
        return StoreRefuses(f"{place} refuses ({code or status or type(error).__name__}): {CURES.get(code, _CURE)}")
    return StoreAway(f"{place} does not answer ({code or status or _short(words)})")


@contextmanager
def translating(place: str, key: str = "") -> Iterator[None]:
    try:
        yield
    except (client.BaseError, FileNotFoundError) as error:
        raise translated(error, place, key) from error


def _may_pass(error: BaseException, code: str, status: str) -> bool:
    if _PASSING_CODES.search(code):
        return True
    if isinstance(error, client.PermissionDeniedError) or code in CURES or "redirect" in str(error):
        return False
    return not status or int(status) in _PASSING_STATUSES


def _found(pattern: str, words: str) -> str:
    found = re.search(pattern, words)
    return found[1] if found else ""


def _short(words: str) -> str:
    return words.strip().rpartition(" - ")[2][-200:]
