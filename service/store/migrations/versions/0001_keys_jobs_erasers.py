"""Keys, jobs, eraser versions, leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime()),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("key_id", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("labels", sa.JSON, nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
    )
    op.create_index("ix_jobs_status", "jobs", ["status"])
    op.create_index("ix_jobs_key_id_kind_id", "jobs", ["key_id", "kind", "id"])
    op.create_index("ix_jobs_deleted_at", "jobs", ["deleted_at"])
    op.create_table(
        "eraser_versions",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("concept", sa.String(80), nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("method", sa.String(40), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("encoder_fingerprint", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64)),
        sa.Column("layer", sa.Integer),
        sa.Column("strength", sa.Double),
        sa.Column("evaluation", sa.JSON),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id")),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("activated_at", UtcDateTime()),
        sa.Column("retired_at", UtcDateTime()),
        sa.UniqueConstraint("concept", "version", name="uq_eraser_versions_concept_version"),
    )
    op.create_index(
        "uq_eraser_versions_active",
        "eraser_versions",
        ["concept", "encoder_fingerprint"],
        unique=True,
        sqlite_where=sa.text("status = 'active'"),
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_index("ix_eraser_versions_job_id", "eraser_versions", ["job_id"])
    op.create_table(
        "leases",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    for table in ("leases", "eraser_versions", "jobs", "api_keys"):
        op.drop_table(table)
