"""A body that comes as JSON, or as the form that the official OpenAI clients make of JSON.

In their forms everything is text, a list is `erase[]=a` repeated, a member of an object is `metadata[key]=value`, and what is
empty is not sent. Lists of objects cannot be told apart in a form; `erase` may be one JSON list instead. Fields that are not
understood keep their name, so that they are refused and not ignored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from email.message import Message
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from service.errors import RequestError
from service.http.body import parse, parse_body
from service.http.media_type import unsupported_media_type
from service.http.once import said_again

_LITERALS = frozenset({"seed", "num_inference_steps", "guidance_scale", "verify"})
"""Fields that are no text: numbers, true and false."""
_LISTS = frozenset({"erase", "erase[]"})


async def read_body(request: Request) -> Any:
    """What the body says, not yet validated. Raises `invalid_json`, `invalid_form`, `invalid_text`, `unsupported_input` or
    `invalid_request`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "application/json":
        try:
            return await parse_body(await request.body())
        except (ValueError, RecursionError) as error:
            raise RequestError("invalid_json", f"the body is not JSON: {error}") from error
    if media_type == "multipart/form-data":
        return await _read_form(request)
    raise unsupported_media_type(request, "application/json or multipart/form-data")


async def _read_form(request: Request) -> dict[str, Any]:
    """Starlette goes by the charset that the header names, and reads as Latin-1 what does not fit; here all text is UTF-8."""
    header = Message()
    header["content-type"] = request.headers["content-type"]
    charset = header.get_content_charset("utf-8")
    if charset not in ("utf-8", "utf8"):
        raise RequestError("invalid_form", f"a form of charset {charset[:80]!a} is not read here: send UTF-8")
    body = await request.body()
    try:
        async with request.form() as form:
            fields = fields_of(form.multi_items())
    except HTTPException as error:
        raise RequestError("invalid_form", f"the body is not a form: {error.detail}") from error
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise RequestError("invalid_text", f"byte {error.start} of the form, {body[error.start]:#x}, is not UTF-8") from error
    return fields


def fields_of(items: Iterable[tuple[str, str | UploadFile]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    lists: dict[str, list[str]] = {}
    metadata: dict[str, str] = {}
    for name, value in items:
        if isinstance(value, UploadFile):
            raise RequestError(
                "unsupported_input", f"{name}: files are not read here; videos are made from text alone", param=name
            )
        if name in _LISTS:
            if value:  # an empty field is one that was left out
                lists.setdefault(name, []).append(value)
        elif name.startswith("metadata[") and name.endswith("]"):
            _put(metadata, name.removeprefix("metadata[").removesuffix("]"), value, name)
        elif name.startswith("input_reference["):
            fields["input_reference"] = value
        else:
            _put(fields, name, _literal(value) if name in _LITERALS else value, name)
    if lists:
        fields["erase"] = _erase(lists)
    if metadata:
        _put(fields, "metadata", metadata, "metadata")
    return fields


def _put(target: dict[str, Any], key: str, value: object, name: str) -> None:
    if key in target:
        raise said_again(name, "the form")
    target[key] = value


def _literal(value: str) -> Any:
    """As JSON writes it; anything else is left as it is, to be refused where types are checked."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _erase(lists: dict[str, list[str]]) -> Any:
    first, *others = (_items(values) for values in lists.values())
    if any(other != first for other in others):
        raise RequestError("invalid_request", "`erase` and `erase[]` say different things: send one of them", param="erase")
    return first


def _items(values: list[str]) -> Any:
    if len(values) != 1 or not values[0].lstrip().startswith("["):
        return values
    try:
        return parse(values[0].encode())
    except (ValueError, RecursionError) as error:
        raise RequestError("invalid_request", f"erase: it begins like a JSON list and is none: {error}", param="erase") from error
