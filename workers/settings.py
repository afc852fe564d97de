"""Settings of a worker process, read once from the environment (`CLEARWAY_…`), validated, frozen and passed down.

Workers have no database address: what they need to know comes in the payload, and what they find out goes to the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from erasers.detectors import parse
from workers.artifacts import S3Access
from workers.log_lines import LogFormat, LogLevel

Device = Literal["auto", "cpu", "cuda"]
DType = Literal["auto", "float32", "bfloat16", "float16"]


class WorkerSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLEARWAY_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("clearway-data"), description="Everything embedded lives here.")
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
    log_level: LogLevel = "INFO"
    log_format: LogFormat = Field(default="json", description="Of log lines: json, or text for a terminal.")

    model: str = Field(
        default="miniature",
        min_length=1,
        description="`miniature`, a Hugging Face id, or a local diffusers directory (starting with '/', '.' or '~').",
    )
    model_revision: str | None = Field(default=None, description="Commit of a Hugging Face model; set it in production.")
    model_download: bool = Field(default=False, description="Whether a Hugging Face model that is not cached may be downloaded.")
    device: Device = Field(default="auto", description="auto: CUDA where there is one, else the CPU.")
    dtype: DType = Field(default="auto", description="auto: bfloat16 on CUDA, float32 on the CPU.")

    evaluation_clips: int = Field(
        default=10, ge=0, description="Clips in each cell of a trained eraser's evaluation, where frames can be judged; 0: none."
    )
    detectors: dict[str, dict[str, JsonValue]] = Field(
        default={},
        description="Who can tell whether frames show a concept: JSON, concept → options of a detector of `erasers.detectors`.",
    )
    detector_prompts: Path | None = Field(
        default=None,
        description="JSON lines of prompts with which their erasers are measured: `workers/probe_file.py`.",
    )
    metric_dino: Path | None = Field(default=None, description="A transformers directory of DINO ViT-B/16: subject consistency.")
    metric_clip_b32: Path | None = Field(
        default=None, description="One of CLIP ViT-B/32: background consistency, and CLIPSIM between prompt and frames."
    )
    metric_clip_l14: Path | None = Field(default=None, description="One of CLIP ViT-L/14, for the aesthetic predictor.")
    metric_aesthetic_head: Path | None = Field(
        default=None, description="LAION's linear head on it: sa_0_4_vit_l_14_linear.pth, or the same as .safetensors."
    )
    interaction_clips: int = Field(
        default=0,
        ge=0,
        description="Clips in each cell of a pair of erasers, where frames can be judged; 0: pairs are measured in embeddings.",
    )
    chat_url: str = Field(
        default="", description="OpenAI-compatible endpoint that writes prompt pairs for trainings: up to and with its /v1."
    )
    chat_model: str = Field(default="", description="Its model.")
    chat_api_key: SecretStr | None = Field(default=None, description="Its key, where it wants one.")
    chat_max_tokens: int = Field(default=400_000, ge=1, description="What one training may spend there, in tokens.")
    eraser_cache_bytes: int = Field(default=4 << 30, ge=0, description="Verified erasers kept in memory between requests.")
    lease_seconds: float = Field(default=10.0, gt=2, description="A worker silent for longer has lost its job.")
    heartbeat_seconds: float = Field(default=1.0, gt=0, description="Pause between two renewals of a lease.")
    store_patience_seconds: float = Field(
        default=120.0, ge=0, description="So long a worker waits for an artifact store that is away or full before its job fails."
    )
    stage_timeout_seconds: float = Field(
        default=900.0, gt=0, description="A job that makes no step for longer is hung: its lease is no longer renewed."
    )

    @field_validator("detectors")
    @classmethod
    def _check_detectors(cls, values: dict[str, dict[str, JsonValue]]) -> dict[str, dict[str, JsonValue]]:
        for options in values.values():
            parse(options)
        if len(named := {concept_key(concept): options for concept, options in values.items()}) < len(values) or "" in named:
            raise ValueError("every concept has a name, and one detector")
        return named

    @model_validator(mode="before")
    @classmethod
    def _fill_addresses(cls, values: dict[str, object]) -> dict[str, object]:
        data_dir = Path(str(values.get("data_dir") or "clearway-data")).absolute()
        defaults = {"redis_url": f"unix://{data_dir / 'valkey.sock'}", "artifacts_url": str(data_dir / "artifacts")}
        return {**values, "data_dir": data_dir, **{name: values.get(name) or value for name, value in defaults.items()}}

    @model_validator(mode="after")
    def _check(self) -> WorkerSettings:
        if not self.redis_url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("CLEARWAY_REDIS_URL must start with redis://, rediss:// or unix://")
        _ = self.s3_access
        if bool(self.chat_url) != bool(self.chat_model):
            raise ValueError("CLEARWAY_CHAT_URL and CLEARWAY_CHAT_MODEL are set both, or neither")
        if self.chat_url and not self.chat_url.startswith(("http://", "https://")):
            raise ValueError("CLEARWAY_CHAT_URL must start with http:// or https://")
        if self.heartbeat_seconds * 3 > self.lease_seconds:
            raise ValueError("CLEARWAY_LEASE_SECONDS must leave room for three heartbeats of CLEARWAY_HEARTBEAT_SECONDS")
        if self.store_patience_seconds >= self.stage_timeout_seconds:
            raise ValueError("CLEARWAY_STORE_PATIENCE_SECONDS must be less than CLEARWAY_STAGE_TIMEOUT_SECONDS")
        return self

    @property
    def s3_access(self) -> S3Access:
        return S3Access(
            endpoint=self.s3_endpoint,
            region=self.s3_region,
            access_key_id=self.s3_access_key_id.get_secret_value(),
            secret_access_key=self.s3_secret_access_key.get_secret_value(),
        )


def concept_key(name: str) -> str:
    """How the settings about detectors compare names: in lower case, with single spaces."""
    return " ".join(name.lower().split())
