"""The audit log, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import StringConstraints

from service.audit import Action
from service.deps import GatewayDep, OperatorDep
from service.domain.text import Text
from service.http.handlers import responses
from service.schemas.audit import AuditEntry, AuditHead, AuditPage
from service.schemas.base import Limit
from service.store import audit

router = APIRouter(
    tags=["audit"],
    responses=responses("unauthorized", "key_expired", "forbidden", "invalid_request", "invalid_text", "database_unavailable"),
)


@router.get("/audit", summary="What happened, in order")
def list_entries(
    gateway: GatewayDep,
    caller: OperatorDep,
    after: Annotated[int, Query(ge=0, le=2**53, description="`next_after` of the page before")] = 0,
    limit: Annotated[Limit, Query()] = 100,
    action: Annotated[Action | None, Query(description="only this")] = None,
    subject: Annotated[Annotated[Text, StringConstraints(max_length=200)] | None, Query(description="only of this")] = None,
) -> AuditPage:
    """Every entry has the hash of the one before. `clearway audit verify` walks them all and says where they do not fit."""
    with gateway.database.read() as session:
        head = audit.head(session)  # first: every entry up to it is committed
        rows = audit.page(session, after=after, until=head.sequence, limit=limit + 1, action=action, subject=subject)
    names = AuditEntry.model_fields
    return AuditPage(
        data=[AuditEntry(**{name: getattr(row, name) for name in names}) for row in rows[:limit]],
        next_after=rows[limit - 1].sequence if len(rows) > limit else None,
        head=AuditHead(sequence=head.sequence, sha256=head.sha256),
    )
