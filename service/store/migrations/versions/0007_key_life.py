"""Until when a key is valid, the secret that it had before, and when it was last used."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0007"
down_revision: str | None = "0006"


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("expires_at", UtcDateTime()))
    op.add_column("api_keys", sa.Column("last_used_at", UtcDateTime()))
    op.add_column("api_keys", sa.Column("previous_sha256", sa.String(64)))
    op.add_column("api_keys", sa.Column("previous_until", UtcDateTime()))


def downgrade() -> None:
    for name in ("previous_until", "previous_sha256", "last_used_at", "expires_at"):
        op.drop_column("api_keys", name)
