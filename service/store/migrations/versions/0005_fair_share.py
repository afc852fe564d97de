"""Which queued jobs were rung for, and what decides whose comes next."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0005"
down_revision: str | None = "0004"

_WAITING = "status = 'queued' AND admitted_at IS NULL"
_RUNG = "status = 'queued' AND admitted_at IS NOT NULL"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("priority", sa.String(8), nullable=False, server_default="normal"))
    op.add_column("api_keys", sa.Column("served_at", UtcDateTime()))
    op.add_column("jobs", sa.Column("admitted_at", UtcDateTime()))
    op.execute("UPDATE jobs SET admitted_at = created_at WHERE status IN ('queued', 'running')")  # until now all were rung for
    for name, columns, where in (
        ("ix_jobs_waiting", ["kind", "key_id", "id"], _WAITING),
        ("ix_jobs_rung", ["kind", "key_id"], _RUNG),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    op.drop_index("ix_jobs_rung", "jobs")
    op.drop_index("ix_jobs_waiting", "jobs")
    op.drop_column("jobs", "admitted_at")
    op.drop_column("api_keys", "served_at")
    op.drop_column("api_keys", "priority")
