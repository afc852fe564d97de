"""From exceptions to responses. Every error a client sees has the body `{"error": {code, message, param, type}}`."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy import exc as sql
from starlette.exceptions import HTTPException

from service.errors import CODES, ErrorCode, RequestError, ServiceError, UnavailableError, error_type
from service.http.media_type import is_json, unsupported_media_type
from service.logs import request_id
from service.schemas.base import ErrorBody, ErrorDetail
from workers.store.artifacts import ArtifactError

logger = logging.getLogger(__name__)

_OF_VALIDATION: Mapping[str, ErrorCode] = {
    "extra_forbidden": "unknown_field",
    "json_invalid": "invalid_json",
    "string_unicode": "invalid_text",
}
_NO_OBJECT = frozenset({"missing", "model_attributes_type", "model_type", "dict_type"})
"""Types of the validation error of a body that is not a JSON object. FastAPI does not parse a body of another media type."""
_OF_STATUS: Mapping[int, tuple[ErrorCode, str]] = {
    400: ("invalid_json", "the body is not JSON"),
    404: ("not_found", "no such route: /docs lists them all"),
    405: ("method_not_allowed", "this route has no such method: /docs lists them all"),
    413: ("payload_too_large", "the body is too large: 256 KiB are taken, 4 MiB for POST /erasers, and more for imports"),
}
_MAX_MESSAGE_CHARACTERS = 2_000
"""Longer messages repeat what was sent."""
_CODES = frozenset(get_args(ErrorCode))


class Refused(HTTPException):
    """An error of ours raised while FastAPI reads a body, which it lets through only as an `HTTPException`."""

    def __init__(self, error: ServiceError) -> None:
        super().__init__(CODES[error.code].status)
        self.error = error


def install(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_exception)
    for unavailable in (sql.OperationalError, sql.InterfaceError, sql.TimeoutError):
        app.add_exception_handler(unavailable, _database_error)
    app.add_exception_handler(ArtifactError, _store_error)
    app.add_exception_handler(OSError, _os_error)
    app.add_exception_handler(Exception, _defect)


def error_response(error: ServiceError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(error_body(error).model_dump(), error.status, {**error.headers, **(headers or {})})


def error_body(error: ServiceError) -> ErrorBody:
    message = error.message.encode(errors="backslashreplace").decode()  # what is wrong with a text must not break the answer
    if len(message) > _MAX_MESSAGE_CHARACTERS:
        message = f"{message[:_MAX_MESSAGE_CHARACTERS]}… ({len(message)} characters)"
    return ErrorBody(error=ErrorDetail(code=error.code, message=message, param=error.param, type=error_type(error.code)))


async def _service_error(request: Request, error: Exception) -> JSONResponse:
    return error_response(cast(ServiceError, error))


async def _validation_error(request: Request, error: Exception) -> JSONResponse:
    """The first thing that is wrong, with the field's place. Validators of ours name their code as the error's type."""
    first = cast(RequestValidationError, error).errors()[0]
    kind = first["type"]
    code = cast(ErrorCode, kind) if kind in _CODES else _OF_VALIDATION.get(kind, "invalid_request")
    param = _param(first["loc"])
    message = first["msg"]
    if code == "unknown_field":
        message = f"the field {param!r} is not known here, and nothing is ignored: remove it, or look at /docs"
    elif code == "invalid_json":
        param, message = None, f"the body is not JSON: {first.get('ctx', {}).get('error', message)}"
    elif kind in _NO_OBJECT and param is None:
        if not is_json(request.headers.get("content-type", "")):
            return error_response(unsupported_media_type(request, "application/json"))
        message = "the body must be a JSON object"
    elif code == "invalid_request":
        message = f"{param}: {message}" if param else message
    return error_response(RequestError(code, message, param=param))


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refused):
        return error_response(error.error)
    raised = cast(HTTPException, error)
    if raised.status_code in _OF_STATUS:
        return error_response(ServiceError(*_OF_STATUS[raised.status_code]), raised.headers)
    code: ErrorCode = "internal_error" if raised.status_code >= 500 else "invalid_request"
    body = error_body(ServiceError(code, raised.detail))
    return JSONResponse(body.model_dump(), raised.status_code, raised.headers)


async def _database_error(request: Request, error: Exception) -> JSONResponse:
    return database_unavailable(error)


def database_unavailable(error: Exception) -> JSONResponse:
    logger.error("the database does not answer: %s", error)
    return error_response(
        UnavailableError("database_unavailable", "the database does not answer; nothing was changed: try again")
    )


async def _store_error(request: Request, error: Exception) -> JSONResponse:
    if _out_of_descriptors(error):
        return _overloaded(error)
    logger.error("the artifact store does not answer: %s", error)
    return error_response(UnavailableError("artifact_unavailable", "the artifact store does not answer: try again"))


async def _os_error(request: Request, error: Exception) -> JSONResponse:
    """The store lets a lack of descriptors through as it is, because the store is not the reason. Any other is a defect."""
    if _out_of_descriptors(error):
        return _overloaded(error)
    raise error


def _overloaded(error: Exception) -> JSONResponse:
    logger.error("no file descriptors left: %s", error)
    return error_response(UnavailableError("overloaded", "the gateway has no file descriptors left: try again"))


def _out_of_descriptors(error: BaseException | None) -> bool:
    """Whether this process, and not the store, is the reason."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__
    return False


async def _defect(request: Request, defect: Exception) -> JSONResponse:
    logger.error("%s %s failed", request.method, request.url.path, exc_info=defect)
    error = ServiceError("internal_error", "a defect of the service; its log has the trace under this `x-request-id`")
    return error_response(error, {"x-request-id": request_id()})  # Starlette answers this one outside of every layer


def _param(location: Sequence[Any]) -> str | None:
    """`("body", "erase", 1, "strength")` → `erase[1].strength`."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location[1:] if part != "[key]")
    return path.removeprefix(".").encode(errors="backslashreplace").decode()[:200] or None


def responses(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI descriptions of a route's errors, one entry a status. Any call may be sent what it does not know, and a header
    twice."""
    described: dict[int | str, dict[str, Any]] = {}
    implied: tuple[ErrorCode, ...] = ("unsupported_media_type", "request_timeout") if "invalid_json" in codes else ()
    if "artifact_unavailable" in codes:
        implied = (*implied, "overloaded")
    for code in dict.fromkeys((*codes, *implied, "repeated_header", "unknown_field")):
        entry = described.setdefault(CODES[code].status, {"model": ErrorBody, "description": ""})
        entry["description"] += f"`{code}`: {CODES[code].text}\n\n"
    return described
