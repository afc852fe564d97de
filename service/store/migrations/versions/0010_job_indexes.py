"""Indexes in the order of pages, and of the few jobs that the sweep looks for, none of the many that it does not."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"

_DELETED = "deleted_at IS NOT NULL"
_CANCELED = "status = 'canceled'"


def upgrade() -> None:
    op.drop_index("ix_jobs_deleted_at", "jobs")
    op.drop_index("ix_jobs_status", "jobs")
    op.create_index("ix_jobs_status", "jobs", ["status", "id"])
    for name, columns, where in (
        ("ix_jobs_deleted", ["deleted_at"], _DELETED),
        ("ix_jobs_canceled", ["status", "finished_at"], _CANCELED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def downgrade() -> None:
    op.drop_index("ix_jobs_canceled", "jobs")
    op.drop_index("ix_jobs_deleted", "jobs")
    op.drop_index("ix_jobs_status", "jobs")
    op.create_index("ix_jobs_status", "jobs", ["status"])
    op.create_index("ix_jobs_deleted_at", "jobs", ["deleted_at"])
