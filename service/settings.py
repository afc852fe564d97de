"""Settings of the gateway, read once from the environment (`CLEARWAY_…`), validated, frozen and passed down.

Addresses default into the data directory, so that an embedded installation needs none of them. What only workers need
(device, dtype) is not here: `workers.settings` reads it.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from workers.artifacts import S3Access
from workers.contract import MAX_INTERACTIONS
from workers.log_lines import LogFormat, LogLevel


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLEARWAY_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("clearway-data"), description="Everything embedded lives here.")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="SQLAlchemy URL; default SQLite at <data-dir>/clearway.db. It may hold a password."
    )
    redis_url: SecretStr = Field(
        default=SecretStr(""), description="Redis or Valkey; default the embedded one at <data-dir>/valkey.sock."
    )
    artifacts_url: str = Field(
        default="", description="Artifact store: a directory or s3://bucket/prefix; default the directory <data-dir>/artifacts."
    )
    s3_endpoint: str = Field(
        default="", description="Of a store at s3://bucket/prefix: a server other than Amazon's, https:// or http://."
    )
    s3_region: str = Field(default="", description="Its region; default what `AWS_REGION` says, or us-east-1.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""), description="A key to it; default the `AWS_…` variables or the machine's role."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="The secret that goes with the key.")
    model: str = Field(default="miniature", min_length=1, description="The model of requests that name none.")
    log_level: LogLevel = "INFO"
    log_format: LogFormat = Field(default="json", description="Of log lines: json, or text for a terminal.")

    generate_timeout_seconds: int = Field(default=1800, ge=1, description="A generation that runs longer is stopped.")
    train_timeout_seconds: int = Field(default=6 * 3600, ge=1, description="A training that runs longer is stopped.")
    sweep_interval_seconds: float = Field(default=2.0, gt=0, description="Pause between two comparisons of SQL, Redis and store.")
    lost_after_seconds: float = Field(
        default=5.0, ge=0, description="An attempt that nobody holds for this long is lost. Longer than a worker's heartbeat."
    )

    generate_window: int = Field(
        default=4, ge=1, description="Generations rung for and not yet taken; at least as many as there are workers."
    )
    train_window: int = Field(default=2, ge=1, description="As `CLEARWAY_GENERATE_WINDOW`, of trainings.")

    max_queued: int = Field(default=10_000, ge=1, description="Jobs of all keys that may be queued; beyond it none is accepted.")
    key_requests_per_minute: int | None = Field(default=None, ge=1, description="Of a new key: creating calls in a minute.")
    key_max_running: int | None = Field(default=None, ge=1, description="Of a new key: jobs at workers at once.")
    key_max_queued: int | None = Field(default=None, ge=1, description="Of a new key: queued jobs.")
    key_max_trainings: int | None = Field(default=None, ge=1, description="Of a new key: trainings at workers at once.")

    idempotency_seconds: int = Field(default=24 * 3600, ge=1, description="So long an `Idempotency-Key` is remembered, at least.")

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

    @model_validator(mode="before")
    @classmethod
    def _fill_addresses(cls, values: dict[str, object]) -> dict[str, object]:
        data_dir = Path(str(values.get("data_dir") or "clearway-data")).absolute()
        defaults = {
            "database_url": f"sqlite:///{data_dir / 'clearway.db'}",
            "redis_url": f"unix://{data_dir / 'valkey.sock'}",
            "artifacts_url": str(data_dir / "artifacts"),
        }
        return {**values, "data_dir": data_dir, **{name: values.get(name) or value for name, value in defaults.items()}}

    @model_validator(mode="after")
    def _check_addresses(self) -> Settings:
        try:
            make_url(self.database_url.get_secret_value())
        except ArgumentError:
            raise ValueError("CLEARWAY_DATABASE_URL is no SQLAlchemy URL; for instance sqlite:////var/lib/clearway.db") from None
        if not self.redis_url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("CLEARWAY_REDIS_URL must start with redis://, rediss:// or unix://")
        _ = self.s3_access
        return self

    @property
    def s3_access(self) -> S3Access:
        return S3Access(
            endpoint=self.s3_endpoint,
            region=self.s3_region,
            access_key_id=self.s3_access_key_id.get_secret_value(),
            secret_access_key=self.s3_secret_access_key.get_secret_value(),
        )

    @property
    def operator_key_path(self) -> Path:
        return self.data_dir / "operator.key"
