"""What a key may have at once, and how fast it may ask."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0006"
down_revision: str | None = "0005"

_LIMITS = ("requests_per_minute", "max_running", "max_queued", "max_trainings")


def upgrade() -> None:
    for name in _LIMITS:
        op.add_column("api_keys", sa.Column(name, sa.Integer))
    op.add_column("api_keys", sa.Column("bucket_full_at", UtcDateTime()))


def downgrade() -> None:
    for name in ("bucket_full_at", *_LIMITS):
        op.drop_column("api_keys", name)
