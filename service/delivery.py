"""The video of a generation as a response: what its receipt describes, byte for byte, or an error.

Its digest is its `ETag`. It is compared with the file before the first byte leaves, and every piece that is sent is one of the
very file that was compared; so a video that somebody changed never leaves. With whichever store, it goes out piece by piece.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from fastapi import Response
from fastapi.responses import StreamingResponse

from service.errors import StateError, UnavailableError
from service.gateway import Gateway
from service.http.conditions import Conditions
from service.http.handlers import responses
from service.http.verified import Tampered
from service.logs import about
from service.store.models import Job
from workers.contract import video_key
from workers.store.artifacts import ArtifactChanged, ArtifactMissing, Stamp, pieces

logger = logging.getLogger(__name__)

MEDIA_TYPE = "video/mp4"


def video_response(gateway: Gateway, job: Job, asked: Conditions) -> Response:
    """The MP4 of the attempt that succeeded, or the part of it that was asked for."""
    if job.status != "succeeded":
        raise StateError("not_finished", f"there is no video: generation {job.id} is {job.status}")
    receipt = job.result or {}
    size: int = receipt["video_bytes"]
    sha256: str = receipt["video_sha256"]
    etag = f'"{sha256}"'
    headers = {
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": "private, max-age=31536000, immutable",
        "content-disposition": f'inline; filename="{job.id}.mp4"',
    }
    if asked.has(etag):
        return Response(status_code=304, headers=headers)
    part = asked.part(etag, size)
    start, stop = part or (0, size)
    stamp = _verified(gateway, job, sha256, size)
    headers["content-length"] = str(stop - start)
    if part is not None:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
    if asked.head:
        return Response(headers=headers, media_type=MEDIA_TYPE)
    pieces = _pieces(gateway, job, stamp, start, stop)
    return StreamingResponse(pieces, 206 if part else 200, headers, media_type=MEDIA_TYPE)


def video_responses() -> dict[int | str, dict[str, Any]]:
    """How OpenAPI describes what `video_response` answers."""
    text, content = {"schema": {"type": "string"}}, {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    etag = {"ETag": {"description": "The receipt's `video_sha256`, in quotes.", **text}}
    whole = {**etag, "Accept-Ranges": {"description": "`bytes`", **text}}
    placed = {"Content-Range": {"description": "`bytes first-last/size`", **text}}
    return {
        200: {"content": content, "headers": whole, "description": "The MP4."},
        206: {"content": content, "headers": {**whole, **placed}, "description": "The part of it that `Range` names."},
        304: {"headers": etag, "description": "It is what `If-None-Match` names."},
        **responses("not_found", "not_finished", "range_not_satisfiable", "artifact_unavailable", "artifact_tampered"),
    }


def _verified(gateway: Gateway, job: Job, sha256: str, size: int) -> Stamp:
    key = video_key(job.id, job.attempt)
    try:
        return gateway.verified.stamp(key, sha256=sha256, size=size)
    except ArtifactMissing:
        message = f"the video of generation {job.id} is not in the store any more"
        raise UnavailableError("artifact_unavailable", message) from None
    except (Tampered, ArtifactChanged) as error:
        _withheld(gateway, job, error)
        message = f"the video of generation {job.id} is not what its receipt describes; it is withheld: generate it again"
        raise StateError("artifact_tampered", message) from None


def _pieces(gateway: Gateway, job: Job, stamp: Stamp, start: int, stop: int) -> Iterator[bytes]:
    """What is changed or taken away while it is sent ends the connection: the client sees that bytes are missing."""
    try:
        yield from pieces(gateway.store, video_key(job.id, job.attempt), stamp, start, stop)
    except ArtifactChanged as error:
        _withheld(gateway, job, error)
        raise


def _withheld(gateway: Gateway, job: Job, error: Exception) -> None:
    logger.error("video withheld: %s", error, extra=about(job))
    gateway.metrics.withheld()
