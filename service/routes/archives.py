"""Erasers from one installation to another: out as an archive, and in."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from service import views
from service.acceptance.importing import import_eraser
from service.deps import ConceptPath, GatewayDep, OperatorDep, VersionPath
from service.erasers import artefacts, registry
from service.erasers.archive import MEDIA_TYPE, pack, packed_bytes
from service.errors import RequestError, StateError
from service.http.handlers import responses
from service.schemas.erasers import Eraser
from service.store import erasers
from workers.contract import Digest

router = APIRouter(
    prefix="/erasers",
    tags=["erasers"],
    responses=responses("unauthorized", "key_expired", "forbidden", "invalid_request", "database_unavailable"),
)

_BINARY: dict[str, Any] = {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}
_IMPORT_ERRORS = responses(
    "payload_too_large", "invalid_archive", "digest_mismatch", "invalid_eraser", "invalid_concept", "invalid_text",
    "eraser_wrong_encoder", "invalid_state", "alias_conflict", "rate_limited", "too_many_queued", "queue_full",
    "artifact_unavailable", "database_unavailable",
)  # fmt: skip


@router.get(
    "/{concept}/{version}/artifact",
    response_class=Response,
    responses={
        200: {"content": _BINARY, "description": "A tar of the eraser's two files, in a folder named by its digest."},
        **responses("not_found", "not_finished", "invalid_concept", "artifact_unavailable"),
    },
    summary="The artefact, as `POST /erasers/import` takes it",
)
def get_artifact(concept: ConceptPath, version: VersionPath, gateway: GatewayDep, caller: OperatorDep) -> StreamingResponse:
    """Compared with its digest before the first byte is sent."""
    with gateway.database.read() as session:
        row = registry.find(session, concept, version)
    if row.digest is None:
        raise StateError("not_finished", f"there is no artefact: version {version} of {concept!r} is {row.status}")
    with ExitStack() as opened:
        directory = opened.enter_context(artefacts.fetched(gateway.store, row.digest))
        headers = {
            "content-length": str(packed_bytes(directory)),
            "content-disposition": f'attachment; filename="{row.digest}.tar"',
            "etag": f'"{row.digest}"',
        }
        return StreamingResponse(_sent(directory, row.digest, opened.pop_all()), media_type=MEDIA_TYPE, headers=headers)


def _sent(directory: Path, digest: str, opened: ExitStack) -> Iterator[bytes]:
    with opened:
        yield from pack(directory, digest)


async def _received(request: Request, caller: OperatorDep) -> AsyncIterator[IO[bytes]]:
    """The body, put down as it comes: nobody's but an operator's, and no longer than `BodyLimit` lets through."""
    with tempfile.TemporaryFile() as file:
        try:
            async for chunk in request.stream():
                await run_in_threadpool(file.write, chunk)
        except ClientDisconnect:
            raise RequestError("invalid_archive", "the connection ended before the archive did") from None
        file.seek(0)
        yield file


@router.post(
    "/import",
    status_code=201,
    responses={200: {"model": Eraser, "description": "It was imported before: the version that it became."}, **_IMPORT_ERRORS},
    openapi_extra={"requestBody": {"required": True, "content": _BINARY}},
    summary="Take in an eraser that was made elsewhere",
)
def import_(
    caller: OperatorDep,
    archive: Annotated[IO[bytes], Depends(_received)],
    response: Response,
    gateway: GatewayDep,
    digest: Annotated[Digest | None, Query(description="what the artefact must have; take it from where it was made")] = None,
) -> Eraser:
    """The body is the archive that `GET …/artifact` gives. It becomes a `candidate`, and its evaluation on this installation is
    queued at once: numbers that came with the file are shown as `claimed_evaluation`, and the gate never reads them."""
    row, new = import_eraser(archive, gateway, caller, expected_digest=digest)
    with gateway.database.read() as session:
        body = views.eraser(row, erasers.jobs_of(session, [row]))
    response.status_code = 201 if new else 200
    response.headers["location"] = body.links.self
    return body
