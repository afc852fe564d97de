"""Webhooks: where a job's client is told of its end, the outbox, and what deliveries are signed with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0012"
down_revision: str | None = "0011"

_DUE = sa.text("due_at IS NOT NULL")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("webhook_url", sa.Text))
    op.add_column("api_keys", sa.Column("webhook_secret", sa.String(64)))
    op.create_table(
        "webhook_deliveries",
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", UtcDateTime()),
        sa.Column("delivered_at", UtcDateTime()),
        sa.Column("last_error", sa.Text),
    )
    op.create_index("ix_webhook_deliveries_due", "webhook_deliveries", ["due_at"], sqlite_where=_DUE, postgresql_where=_DUE)


def downgrade() -> None:
    op.drop_table("webhook_deliveries")
    op.drop_column("api_keys", "webhook_secret")
    op.drop_column("jobs", "webhook_url")
