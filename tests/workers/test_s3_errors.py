"""The table of S3 errors is complete, and tells what passes from what does not."""

from __future__ import annotations

import pytest
from obstore import exceptions as client

from workers.store.artifacts import ArtifactChanged, ArtifactError, ArtifactMissing, StoreAway, StoreRefuses
from workers.store.s3_errors import KINDS, translated, translating

AT = "Error performing PUT http://host/b/a in 2ms - Server returned non-2xx status code"


def answer(status: str, code: str) -> str:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>"
    return f"Generic S3 error: {AT}: {status}: {body}\n\nDebug source:\nstatus code: 200"


def test_every_error_of_the_client_is_in_the_table() -> None:
    known = {kind for kind in vars(client).values() if isinstance(kind, type) and issubclass(kind, BaseException)}
    assert len(known) > 8
    assert known - KINDS.keys() == set()


@pytest.mark.parametrize(
    ("error", "expected", "says"),
    [
        (client.GenericError(answer("500 Internal Server Error", "InternalError")), StoreAway, "InternalError"),
        (client.GenericError(answer("503 Service Unavailable", "SlowDown")), StoreAway, "SlowDown"),
        (client.GenericError(answer("507 Insufficient Storage", "XMinioStorageFull")), StoreAway, "XMinioStorageFull"),
        (client.GenericError(answer("400 Bad Request", "XMinioAdminBucketQuotaExceeded")), StoreAway, "Quota"),
        (client.PermissionDeniedError(answer("403 Forbidden", "QuotaExceeded")), StoreAway, "Quota"),
        (client.GenericError(answer("400 Bad Request", "RequestTimeout")), StoreAway, "RequestTimeout"),
        (client.GenericError("Error performing GET http://host/ in 2ms - HTTP error: sending"), StoreAway, "sending"),
        (client.GenericError(answer("400 Bad Request", "InvalidBucketName")), StoreRefuses, "name a bucket"),
        (client.GenericError(answer("404 Not Found", "NoSuchBucket")), StoreRefuses, "make the bucket"),
        (FileNotFoundError(answer("404 Not Found", "NoSuchBucket")), StoreRefuses, "make the bucket"),
        (FileNotFoundError(answer("404 Not Found", "NoSuchKey")), ArtifactMissing, "'a/b'"),
        (client.GenericError("DeleteObjects request failed for key a: Denied. (code: AccessDenied)"), StoreRefuses, "allow"),
        (client.GenericError("Received redirect without LOCATION"), StoreRefuses, "CLEARWAY_S3_ENDPOINT"),
        (client.GenericError(answer("301 Moved Permanently", "PermanentRedirect")), StoreRefuses, "REGION"),
        (client.GenericError(answer("501 Not Implemented", "NotImplemented")), StoreRefuses, "NotImplemented"),
        (client.PermissionDeniedError(answer("403 Forbidden", "")), StoreRefuses, "403"),
        (client.PreconditionError("x"), ArtifactChanged, "'a/b'"),
    ],
)  # fmt: skip
def test_what_becomes_of_an_error(error: BaseException, expected: type[ArtifactError], says: str) -> None:
    found = translated(error, "s3://b", "a/b")
    assert type(found) is expected, found
    assert says in str(found)
    if expected in (StoreAway, StoreRefuses):
        assert str(found).startswith("s3://b ")


def test_only_the_clients_errors_are_translated() -> None:
    with pytest.raises(ZeroDivisionError), translating("s3://b"):
        _ = 1 / 0
    with pytest.raises(StoreAway), translating("s3://b"):
        raise client.JoinError("x")
