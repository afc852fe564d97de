"""The tables.

`jobs` holds the life of every piece of work, generation, training or evaluation, because accepting, sweeping and settling are
the same for all; what is particular is in `plan` (what to do) and `result` (the worker's record). `eraser_versions` is the
registry. A partial unique index, not code, guarantees one active version per (concept, text encoder).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, ForeignKeyConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from service.domain.states import JobStatus, VersionStatus
from service.domain.turns import Priority
from service.store.columns import UtcDateTime
from workers.contract import JobKind

WAITING = "status = 'queued' AND admitted_at IS NULL"
"""Of a job: accepted, and not let into the window yet."""
RUNG = "status = 'queued' AND admitted_at IS NOT NULL"
"""Of a job: let into the window, and not known to have been taken."""
CANCELED = "status = 'canceled'"
WEBHOOK_DUE = "due_at IS NOT NULL"
"""Of a delivery: neither made nor given up."""
DELETED_WITH_ARTIFACT = "deleted_at IS NOT NULL AND digest IS NOT NULL"
"""An eraser version is hidden from clients, and its artifact may still be in the store."""
DELETED = "deleted_at IS NOT NULL"
"""Of a job. Nearly none is; an index of those that are not would be taken, on SQLite, for every statement that says so."""


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's declared form
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        JobKind: String(16),
        JobStatus: String(16),
        VersionStatus: String(16),
        Priority: String(8),
    }


class ApiKey(Base):
    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    role: Mapped[str] = mapped_column(String(16))
    secret_sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]  # to the minute
    previous_sha256: Mapped[str | None] = mapped_column(String(64))  # of the secret before the last rotation
    previous_until: Mapped[datetime | None]
    priority: Mapped[Priority] = mapped_column(server_default="normal")
    served_at: Mapped[datetime | None]  # when a job of the key was last let into the window
    requests_per_minute: Mapped[int | None]  # limits: None is none
    max_running: Mapped[int | None]
    max_queued: Mapped[int | None]
    max_trainings: Mapped[int | None]
    webhook_secret: Mapped[str | None] = mapped_column(String(64))  # signs deliveries; made when it is first needed
    bucket_full_at: Mapped[datetime | None]  # when the key may send all `requests_per_minute` at once again


class Job(Base):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_status", "status", "id"),
        Index("ix_jobs_key_id_kind_id", "key_id", "kind", "id"),
        Index("ix_jobs_deleted", "deleted_at", sqlite_where=text(DELETED), postgresql_where=text(DELETED)),
        Index("ix_jobs_canceled", "status", "finished_at", sqlite_where=text(CANCELED), postgresql_where=text(CANCELED)),
        Index("ix_jobs_waiting", "kind", "key_id", "id", sqlite_where=text(WAITING), postgresql_where=text(WAITING)),
        Index("ix_jobs_rung", "kind", "key_id", sqlite_where=text(RUNG), postgresql_where=text(RUNG)),
    )

    id: Mapped[str] = mapped_column(String(80), primary_key=True)  # ids grow with time: order by id is order of arrival
    kind: Mapped[JobKind]
    status: Mapped[JobStatus]
    attempt: Mapped[int]  # the fence: only this attempt's records count
    model: Mapped[str] = mapped_column(String(200))
    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    plan: Mapped[dict[str, Any]]  # Plan | TrainingTask | EvaluationTask: decided when accepted, the same for every attempt
    labels: Mapped[dict[str, Any]]  # `metadata` of the request
    webhook_url: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None]  # Receipt | TrainingResult | EvaluationResult
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    admitted_at: Mapped[datetime | None]  # when the present attempt was let into the window; null while it waits
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # hidden from clients; the row goes when no worker holds the job any more


class WebhookDelivery(Base):
    """That the end of a job is to be told to its webhook: written by the transaction that ends it."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_due", "due_at", sqlite_where=text(WEBHOOK_DUE), postgresql_where=text(WEBHOOK_DUE)),
    )

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    attempts: Mapped[int]  # those that began
    due_at: Mapped[datetime | None]  # None: delivered, or given up
    delivered_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)


class IdempotencyKey(Base):
    """Which job a key of a client made. The primary key, not code, guarantees one job per (API key, idempotency key)."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        Index("ix_idempotency_keys_job_id", "job_id"),
        Index("ix_idempotency_keys_created_at", "created_at"),
    )

    key_id: Mapped[str] = mapped_column(ForeignKey("api_keys.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_sha256: Mapped[str | None] = mapped_column(String(64))  # None: the job was deleted, and its words with it
    job_id: Mapped[str] = mapped_column(String(80))  # no foreign key: claimed before the job, remembered after it
    created_at: Mapped[datetime]


class EraserVersion(Base):
    __tablename__ = "eraser_versions"
    __table_args__ = (
        UniqueConstraint("concept", "version", name="uq_eraser_versions_concept_version"),
        Index(
            "uq_eraser_versions_active",
            "concept",
            "encoder_fingerprint",
            unique=True,
            sqlite_where=text("status = 'active'"),
            postgresql_where=text("status = 'active'"),
        ),
        Index(
            "ix_eraser_versions_deleted",
            "deleted_at",
            sqlite_where=text(DELETED_WITH_ARTIFACT),
            postgresql_where=text(DELETED_WITH_ARTIFACT),
        ),
        Index("ix_eraser_versions_job_id", "job_id"),
        Index("ix_eraser_versions_evaluation_job_id", "evaluation_job_id"),
    )

    id: Mapped[str] = mapped_column(String(80), primary_key=True)
    concept: Mapped[str] = mapped_column(String(80))
    version: Mapped[int]
    status: Mapped[VersionStatus]
    method: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(200))
    encoder_fingerprint: Mapped[str] = mapped_column(String(64))
    digest: Mapped[str | None] = mapped_column(String(64))
    layer: Mapped[int | None]
    strength: Mapped[float | None]
    minimum_strength: Mapped[float | None]
    evaluation: Mapped[dict[str, Any] | None]  # None: not measured here yet
    claimed_evaluation: Mapped[dict[str, Any] | None]  # what an imported artifact says of itself; the gate never reads it
    config: Mapped[dict[str, Any]]
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # None: it came with the model, or was imported
    evaluation_job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))  # the last evaluation, if there was one
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    override_reason: Mapped[str | None] = mapped_column(Text)  # why it was activated although it did not pass the gate
    retired_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # hidden from clients; the row stays, so that its number is never given out again


class EraserAlias(Base):
    """A second name of a concept. It is no concept with erasers, nor leads to an alias: `service.erasers.aliases` sees to it."""

    __tablename__ = "eraser_aliases"

    alias: Mapped[str] = mapped_column(String(80), primary_key=True)
    concept: Mapped[str] = mapped_column(String(80))
    created_by: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    created_at: Mapped[datetime]


class GenerationEraser(Base):
    """That a generation has an eraser version pinned, as its plan says; here so that it is found from the eraser's side."""

    __tablename__ = "generation_erasers"
    __table_args__ = (
        ForeignKeyConstraint(["concept", "version"], ["eraser_versions.concept", "eraser_versions.version"]),
        Index("ix_generation_erasers_job_id", "job_id"),
    )

    concept: Mapped[str] = mapped_column(String(80), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


class PolicyVersion(Base):
    """One version of a policy, immutable but for its end. The partial unique index guarantees one in force per name."""

    __tablename__ = "policy_versions"
    __table_args__ = (
        Index(
            "uq_policy_versions_in_force",
            "name",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    rules: Mapped[dict[str, Any]]  # PolicyRules
    created_by: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]  # None: in force


class ConceptGate(Base):
    """What an operator demands of the erasers of one concept, other than the deployment does."""

    __tablename__ = "concept_gates"

    concept: Mapped[str] = mapped_column(String(80), primary_key=True)  # no foreign key: it may be set before the first training
    thresholds: Mapped[dict[str, Any]]  # those of GateThresholds that are set
    set_by: Mapped[str] = mapped_column(ForeignKey("api_keys.id"))
    set_at: Mapped[datetime]


class AuditEntry(Base):
    """Appended, never changed. Columns are what was hashed; `at` is text so that it comes back as it went in."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_action", "action", "sequence"),
        Index("ix_audit_entries_subject", "subject", "sequence"),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str | None] = mapped_column(String(32))  # no foreign key: the log stands by itself
    action: Mapped[str] = mapped_column(String(40))
    subject: Mapped[str] = mapped_column(String(200))
    details: Mapped[dict[str, Any]]
    previous_sha256: Mapped[str] = mapped_column(String(64))
    sha256: Mapped[str] = mapped_column(String(64))


class AuditHead(Base):
    """The one row that whoever appends must lock."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))


class Lease(Base):
    """Who of several gateways does a thing that one at a time should do."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    holder: Mapped[str] = mapped_column(String(80))
    expires_at: Mapped[datetime]
