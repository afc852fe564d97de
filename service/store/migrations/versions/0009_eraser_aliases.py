"""Second names of concepts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    op.create_table(
        "eraser_aliases",
        sa.Column("alias", sa.String(80), primary_key=True),
        sa.Column("concept", sa.String(80), nullable=False),
        sa.Column("created_by", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("eraser_aliases")
