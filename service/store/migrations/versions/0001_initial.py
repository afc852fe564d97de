"""All tables of `service.store.models`, in their first released form.

Until the first release this file is edited together with the models; after it, every change is a migration of its own.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.store.columns import UtcDateTime

revision = "0001"
down_revision: str | None = None

_TABLES = (  # in the order in which they are made; a table refers only to tables before it
    "api_keys",
    "jobs",
    "webhook_deliveries",
    "idempotency_keys",
    "eraser_versions",
    "eraser_aliases",
    "generation_erasers",
    "policy_versions",
    "concept_gates",
    "audit_entries",
    "audit_head",
    "leases",
)


def upgrade() -> None:
    _keys_and_jobs()
    _erasers()
    _policies()
    _audit()
    op.create_table(
        "leases",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("holder", sa.String(80), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
    )


def downgrade() -> None:
    for table in reversed(_TABLES):
        op.drop_table(table)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    """An index of the rows for which `where` holds."""
    op.create_index(name, table, columns, unique=unique, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _keys_and_jobs() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime()),
        sa.Column("expires_at", UtcDateTime()),
        sa.Column("last_used_at", UtcDateTime()),
        sa.Column("previous_sha256", sa.String(64)),
        sa.Column("previous_until", UtcDateTime()),
        sa.Column("priority", sa.String(8), nullable=False, server_default="normal"),
        sa.Column("served_at", UtcDateTime()),
        sa.Column("requests_per_minute", sa.Integer),
        sa.Column("max_running", sa.Integer),
        sa.Column("max_queued", sa.Integer),
        sa.Column("max_trainings", sa.Integer),
        sa.Column("webhook_secret", sa.String(64)),
        sa.Column("bucket_full_at", UtcDateTime()),
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
        sa.Column("webhook_url", sa.Text),
        sa.Column("result", sa.JSON),
        sa.Column("error_code", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("admitted_at", UtcDateTime()),
        sa.Column("started_at", UtcDateTime()),
        sa.Column("finished_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
    )
    op.create_index("ix_jobs_status", "jobs", ["status", "id"])
    op.create_index("ix_jobs_key_id_kind_id", "jobs", ["key_id", "kind", "id"])
    _partial_index("ix_jobs_deleted", "jobs", ["deleted_at"], "deleted_at IS NOT NULL")
    _partial_index("ix_jobs_canceled", "jobs", ["status", "finished_at"], "status = 'canceled'")
    _partial_index("ix_jobs_waiting", "jobs", ["kind", "key_id", "id"], "status = 'queued' AND admitted_at IS NULL")
    _partial_index("ix_jobs_rung", "jobs", ["kind", "key_id"], "status = 'queued' AND admitted_at IS NOT NULL")
    op.create_table(
        "webhook_deliveries",
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", UtcDateTime()),
        sa.Column("delivered_at", UtcDateTime()),
        sa.Column("last_error", sa.Text),
    )
    _partial_index("ix_webhook_deliveries_due", "webhook_deliveries", ["due_at"], "due_at IS NOT NULL")
    op.create_table(
        "idempotency_keys",
        sa.Column("key_id", sa.String(32), sa.ForeignKey("api_keys.id"), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("request_sha256", sa.String(64)),
        sa.Column("job_id", sa.String(80), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_idempotency_keys_job_id", "idempotency_keys", ["job_id"])
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _erasers() -> None:
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
        sa.Column("minimum_strength", sa.Double),
        sa.Column("evaluation", sa.JSON),
        sa.Column("claimed_evaluation", sa.JSON),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id")),
        sa.Column("evaluation_job_id", sa.String(80), sa.ForeignKey("jobs.id")),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("activated_at", UtcDateTime()),
        sa.Column("override_reason", sa.Text),
        sa.Column("retired_at", UtcDateTime()),
        sa.Column("deleted_at", UtcDateTime()),
        sa.UniqueConstraint("concept", "version", name="uq_eraser_versions_concept_version"),
    )
    _partial_index(
        "uq_eraser_versions_active", "eraser_versions", ["concept", "encoder_fingerprint"], "status = 'active'", unique=True
    )
    _partial_index(
        "ix_eraser_versions_deleted", "eraser_versions", ["deleted_at"], "deleted_at IS NOT NULL AND digest IS NOT NULL"
    )
    op.create_index("ix_eraser_versions_job_id", "eraser_versions", ["job_id"])
    op.create_index("ix_eraser_versions_evaluation_job_id", "eraser_versions", ["evaluation_job_id"])
    op.create_table(
        "eraser_aliases",
        sa.Column("alias", sa.String(80), primary_key=True),
        sa.Column("concept", sa.String(80), nullable=False),
        sa.Column("created_by", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_table(
        "generation_erasers",
        sa.Column("concept", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.ForeignKeyConstraint(["concept", "version"], ["eraser_versions.concept", "eraser_versions.version"]),
    )
    op.create_index("ix_generation_erasers_job_id", "generation_erasers", ["job_id"])


def _policies() -> None:
    op.create_table(
        "policy_versions",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("rules", sa.JSON, nullable=False),
        sa.Column("created_by", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
    )
    _partial_index("uq_policy_versions_in_force", "policy_versions", ["name"], "ended_at IS NULL", unique=True)
    op.create_table(
        "concept_gates",
        sa.Column("concept", sa.String(80), primary_key=True),
        sa.Column("thresholds", sa.JSON, nullable=False),
        sa.Column("set_by", sa.String(32), sa.ForeignKey("api_keys.id"), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit_entries",
        sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(32)),
        sa.Column("action", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("previous_sha256", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.create_index("ix_audit_entries_action", "audit_entries", ["action", "sequence"])
    op.create_index("ix_audit_entries_subject", "audit_entries", ["subject", "sequence"])
    head = op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
    )
    op.bulk_insert(head, [{"id": 1, "sequence": 0, "sha256": "0" * 64}])
