"""Which `Content-Type` a body needs, and the error for another one."""

from __future__ import annotations

from fastapi import Request

from service.errors import RequestError


def unsupported_media_type(request: Request, expected: str) -> RequestError:
    """The error for a body whose `Content-Type` is missing or not one that the call reads."""
    sent = request.headers.get("content-type")
    found = "the request has no Content-Type" if sent is None else f"a body of type {sent[:80]!a} is not read here"
    return RequestError("unsupported_media_type", f"{found}: send {expected}", param="Content-Type")


def is_json(content_type: str) -> bool:
    """Whether FastAPI reads a body of this type as JSON."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
