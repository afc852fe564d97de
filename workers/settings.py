"""Settings of a worker process, read once from the environment (`CLEARWAY_…`), validated, frozen and passed down.

Workers have no database address: what they need to know comes in the payload, and what they find out goes to the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue, SecretStr, field_validator, model_validator

from erasers.detectors import parse
from workers.common_settings import CommonSettings

Device = Literal["auto", "cpu", "cuda"]
DType = Literal["auto", "float32", "bfloat16", "float16"]


class WorkerSettings(CommonSettings):
    model: str = Field(
        default="miniature",
        min_length=1,
        description="`miniature`, `miniature-pretrained`, a Hugging Face id, or a local diffusers directory "
        "(starting with '/', '.' or '~').",
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
        description="JSON lines of prompts with which their erasers are measured: `workers/detection/probe_file.py`.",
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

    @model_validator(mode="after")
    def _check(self) -> WorkerSettings:
        if bool(self.chat_url) != bool(self.chat_model):
            raise ValueError("CLEARWAY_CHAT_URL and CLEARWAY_CHAT_MODEL are set both, or neither")
        if self.chat_url and not self.chat_url.startswith(("http://", "https://")):
            raise ValueError("CLEARWAY_CHAT_URL must start with http:// or https://")
        if self.heartbeat_seconds * 3 > self.lease_seconds:
            raise ValueError("CLEARWAY_LEASE_SECONDS must leave room for three heartbeats of CLEARWAY_HEARTBEAT_SECONDS")
        if self.store_patience_seconds >= self.stage_timeout_seconds:
            raise ValueError("CLEARWAY_STORE_PATIENCE_SECONDS must be less than CLEARWAY_STAGE_TIMEOUT_SECONDS")
        return self


def concept_key(name: str) -> str:
    """How the settings about detectors compare names: in lower case, with single spaces."""
    return " ".join(name.lower().split())
