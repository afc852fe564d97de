"""Thresholds of the gate that operators set for single concepts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    op.create_table(
        "concept_gates",
        sa.Column("concept", sa.String(80), primary_key=True),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("set_by", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("concept_gates")
