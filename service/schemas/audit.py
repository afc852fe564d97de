"""`GET /audit`."""

from __future__ import annotations

from pydantic import Field, JsonValue

from service.schemas.base import ResponseBody


class AuditEntry(ResponseBody):
    """One thing that happened, as it was hashed. Its words are not checked against any list: what was changed must be shown."""

    sequence: int = Field(description="1, 2, 3, … without a gap")
    at: str = Field(description="ISO 8601, UTC")
    actor: str | None = Field(description="id of the key that did it; null for the service itself")
    action: str = Field(examples=["generation.accepted"])
    subject: str = Field(examples=["parachute@2"], description="id of a generation or key, name of a policy, concept@version")
    details: JsonValue
    previous_sha256: str = Field(description="of the entry before; zeros before the first")
    sha256: str = Field(description="of the other fields as JSON in ASCII, keys sorted, without white space")


class AuditHead(ResponseBody):
    sequence: int
    sha256: str


class AuditPage(ResponseBody):
    """Oldest first. Ask for the next page with `?after=<next_after>`."""

    data: list[AuditEntry]
    next_after: int | None
    head: AuditHead = Field(description="the last entry of the whole log when the page was read")
