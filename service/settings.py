"""Settings of the gateway, read once from the environment (`CLEARWAY_…`), validated, frozen and passed down.

Addresses default into the data directory, so that an embedded installation needs none of them. What only workers need
(device, dtype) is not here: `workers.settings` reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from workers.common_settings import CommonSettings
from workers.contract import MAX_INTERACTIONS


class Settings(CommonSettings):
    database_url: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL; default SQLite at <data-dir>/clearway.db. It may hold a password."
    )
    model: str = Field(default="miniature", min_length=1, description="The model of requests that name none.")

    generate_timeout_seconds: int = Field(default=1800, ge=1, description="A generation that runs longer is stopped.")
    train_timeout_seconds: int = Field(default=6 * 3600, ge=1, description="A training that runs longer is stopped.")
    sweep_interval_seconds: float = Field(default=2.0, gt=0, description="Pause between two comparisons of SQL, Redis and store.")
    lost_after_seconds: float = Field(
        default=5.0, ge=0, description="An attempt that nobody holds for this long is lost. Longer than a worker's heartbeat."
    )

    generate_window: int = Field(
        default=4, ge=1, description="Generations rung for and not yet taken; at least as many as there are workers."
    )
    train_window: int = Field(
        default=2, ge=1, description="As `CLEARWAY_GENERATE_WINDOW`, of trainings; and of evaluations, by themselves."
    )

    max_queued: int = Field(default=10_000, ge=1, description="Jobs of all keys that may be queued; beyond it none is accepted.")
    key_requests_per_minute: int | None = Field(default=None, ge=1, description="Of a new key: creating calls in a minute.")
    key_max_running: int | None = Field(default=None, ge=1, description="Of a new key: jobs at workers at once.")
    key_max_queued: int | None = Field(default=None, ge=1, description="Of a new key: queued jobs.")
    key_max_trainings: int | None = Field(
        default=None, ge=1, description="Of a new key: trainings and evaluations at workers at once."
    )

    idempotency_seconds: int = Field(default=24 * 3600, ge=1, description="So long an `Idempotency-Key` is remembered, at least.")

    max_connections: int | None = Field(
        default=None, ge=16, description="Open connections of this gateway; default what its file descriptors allow."
    )
    header_timeout_seconds: float = Field(default=10.0, gt=0, description="How long the head of a request may take to arrive.")
    body_timeout_seconds: float = Field(
        default=30.0, gt=0, description="How long a body may take to arrive, plus a second for every 32 KiB of it."
    )
    key_max_streams: int = Field(default=20, ge=1, description="Event streams that one key may have open at this gateway.")
    job_max_streams: int = Field(default=5, ge=1, description="Event streams that one key may have open for one job.")

    metrics_token: SecretStr = Field(
        default=SecretStr(""), description="Opens `/metrics` and nothing else; an operator's key does too."
    )

    max_import_bytes: int = Field(default=256 * 2**20, ge=1, description="The largest archive that `POST /erasers/import` takes.")

    audit_prompts: bool = Field(default=False, description="The audit log keeps prompts, for good, beside their SHA-256.")

    verify_max_share: float = Field(
        default=0.0, ge=0, lt=1, description="Of the frames of a verified generation; above it a concept counts as seen."
    )

    webhook_private: bool = Field(
        default=False,
        description="Webhooks may go over http, and to addresses that are not public.",
    )
    webhook_timeout_seconds: float = Field(default=10.0, gt=0, description="So long a webhook may take to answer.")
    webhook_attempts: int = Field(default=9, ge=1, le=20, description="Attempts at one delivery; then it is given up.")
    webhook_retry_seconds: float = Field(
        default=5.0, gt=0, description="Pause after the first failed attempt at a delivery; each later one is 4 times as long."
    )

    gate_min_origin_rate: float = Field(default=0.3, ge=0, le=1, description="Below this the model barely shows the concept.")
    gate_max_erased: float = Field(default=0.10, ge=0, le=1, description="Concept left on plain prompts, relative to origin.")
    gate_max_synonym: float = Field(default=0.15, ge=0, le=1, description="Concept left on synonyms, relative to origin.")
    gate_min_kept: float = Field(default=0.90, ge=0, le=1, description="Other concepts kept, relative to origin.")
    gate_min_scene_kept: float = Field(
        default=0.95, ge=0, le=1, description="What else prompts with the concept ask for, kept, relative to origin."
    )
    gate_min_probe_before: float = Field(default=0.9, ge=0, le=1, description="Without frames: the probe finds the concept.")
    gate_max_probe_after: float = Field(default=0.10, ge=0, le=1, description="Without frames: what the probe finds, relative.")
    gate_max_drift: float = Field(default=0.10, ge=0, description="Without frames: relative change of prompts without it.")

    gate_max_interaction: float = Field(
        default=0.25, ge=0, le=1, description="Either concept left, together with another active eraser, relative to origin."
    )
    gate_min_kept_pair: float = Field(
        default=0.75, ge=0, le=1, description="Other concepts kept, together with another active eraser, relative to origin."
    )
    interaction_erasers: int = Field(
        default=16,
        ge=0,
        le=MAX_INTERACTIONS,
        description="Active erasers with which a training is measured in pairs, newest first; 0: none.",
    )

    @classmethod
    def _addresses_in(cls, data_dir: Path) -> dict[str, str]:
        database = URL.create("sqlite", database=str(data_dir / "clearway.db"))  # escapes what a path may hold and a URL may not
        return {"database_url": database.render_as_string(hide_password=False), **super()._addresses_in(data_dir)}

    @model_validator(mode="after")
    def _check_database(self) -> Self:
        try:
            make_url(self.database_url.get_secret_value())
        except ArgumentError:
            raise ValueError("CLEARWAY_DATABASE_URL is no SQLAlchemy URL; for instance sqlite:////var/lib/clearway.db") from None
        return self

    @property
    def operator_key_path(self) -> Path:
        return self.data_dir / "operator.key"
