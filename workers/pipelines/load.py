"""From the model setting to a model in memory.

A setting names a directory, directly or through the Hugging Face cache. The directory's own index says which family it is.
Only safetensors are read, no code from a model directory is run, and the network is left alone unless settings allow it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch

from erasers.errors import EncoderError
from workers.contract import model_id
from workers.errors import ModelUnavailable
from workers.pipelines.base import VideoPipeline
from workers.pipelines.cogvideox import CogVideoXAdapter
from workers.pipelines.encoder import load_encoder
from workers.pipelines.index import read_index
from workers.pipelines.placement import Placement, place
from workers.pipelines.profiles import FAMILIES, MODELS
from workers.pipelines.wan import VAE_DTYPE, WanAdapter
from workers.settings import WorkerSettings

PIPELINE_CLASSES = ("WanPipeline", "CogVideoXPipeline")
_WEIGHTS_THAT_RUN_CODE = ["*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.py", "*.onnx", "*.msgpack", "*.h5"]


def load_pipeline(settings: WorkerSettings, *, encoder_in_float32: bool = False) -> VideoPipeline:
    """The model that `settings.model` names, resident on its device. Raises `ModelUnavailable`."""
    placement = place(settings.device, settings.dtype, encoder_in_float32=encoder_in_float32)
    return load_directory(find_directory(settings), model_id=model_id(settings.model), placement=placement)


def find_directory(settings: WorkerSettings) -> Path:
    setting = settings.model
    if setting == "miniature":
        from workers.miniature.weights import MODEL_DIR

        return MODEL_DIR
    if setting == "miniature-pretrained":
        from workers.miniature.pretrained.weights import MODEL_DIR as PRETRAINED_DIR

        return PRETRAINED_DIR
    if model_id(setting) != setting:
        return Path(setting).expanduser()
    return _snapshot(setting, revision=settings.model_revision, download=settings.model_download)


def load_directory(directory: Path, *, model_id: str, placement: Placement) -> VideoPipeline:
    index = read_index(directory)
    if index.pipeline_class not in PIPELINE_CLASSES:
        known = ", ".join(PIPELINE_CLASSES)
        raise ModelUnavailable(f"{directory} holds a {index.pipeline_class}; this version serves {known}")
    try:
        text_encoder, parts = _from_elsewhere(model_id, placement)
        encoder = load_encoder(directory, index, placement, text_encoder=text_encoder)
        is_wan = index.pipeline_class == "WanPipeline"
        dtypes = {"default": placement.dtype, "vae": VAE_DTYPE if is_wan else placement.dtype}
        parts |= {"text_encoder": encoder.text_encoder, "tokenizer": encoder.tokenizer}
        pipe = _load(index.pipeline_class, directory, dtypes, **parts)
        pipe.to(placement.device)
    except (OSError, ValueError, KeyError, ImportError, EncoderError) as error:
        raise ModelUnavailable(f"the model in {directory} cannot be loaded: {error}") from error
    family, adapter = ("wan", WanAdapter) if is_wan else ("cogvideox", CogVideoXAdapter)
    pipeline: VideoPipeline = adapter(pipe, encoder, model_id=model_id, profile=MODELS.get(model_id, FAMILIES[family]))
    return pipeline


def _from_elsewhere(model_id: str, placement: Placement) -> tuple[torch.nn.Module | None, dict[str, Any]]:
    """The text encoder, and other components, whose weights do not lie in the model's directory."""
    if model_id != "miniature-pretrained":
        return None, {}
    from workers.miniature.pretrained import model

    return model.text_encoder(placement.encoder_dtype), {"vae": model.vae(VAE_DTYPE)}


def _load(class_name: str, directory: Path, dtypes: dict[str, torch.dtype], **components: Any) -> Any:
    return getattr(diffusers, class_name).from_pretrained(
        directory, dtype=dtypes, use_safetensors=True, local_files_only=True, trust_remote_code=False, **components
    )


def _snapshot(repository: str, *, revision: str | None, download: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        found = snapshot_download(
            repository, revision=revision, local_files_only=not download, ignore_patterns=_WEIGHTS_THAT_RUN_CODE
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        cure = "check name and network" if download else "set CLEARWAY_MODEL_DOWNLOAD=true, or give a local directory"
        raise ModelUnavailable(f"the model {repository!r} is not here ({error}): {cure}") from error
    return Path(found)
