"""CLIP and DINO, from directories of the operator's: safetensors, as `save_pretrained` writes them. Nothing is downloaded.

Features have length 1, so that a product of two is their cosine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from erasers.errors import WeightsError
from erasers.frames import Frames, check_frames
from erasers.metrics.pixels import CLIP, IMAGENET, middle, to_pixels

BATCH = 16


class ClipEncoder:
    """Both halves of a transformers `CLIPModel`, for instance openai/clip-vit-base-patch32."""

    def __init__(self, directory: Path, device: torch.device | str = "cpu") -> None:
        from transformers import CLIPModel

        self._directory, self._device = directory, device
        self._model: Any = _load(CLIPModel, directory).to(device)
        self.dimensions: int = self._model.config.projection_dim

    @torch.inference_mode()
    def frames(self, frames: Frames) -> Tensor:
        """(T, d)"""
        check_frames(frames)
        size = self._model.config.vision_config.image_size
        pixels = middle(to_pixels(frames, size, CLIP, mode="bicubic"), size)
        parts = [self._model.get_image_features(part.to(self._device)).pooler_output for part in pixels.split(BATCH)]
        return F.normalize(torch.cat(parts), dim=1).cpu()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(n, d). CLIP reads 77 tokens; what a prompt has beyond them it does not see."""
        longest = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(list(texts), padding=True, truncation=True, max_length=longest, return_tensors="pt")
        ids, mask = (tokens[name].to(self._device) for name in ("input_ids", "attention_mask"))
        return F.normalize(self._model.get_text_features(ids, mask).pooler_output, dim=1).cpu()

    @cached_property
    def _tokenizer(self) -> Any:
        """Read when a text comes: who asks about frames alone needs none."""
        from transformers import AutoTokenizer

        # Where there is none, transformers makes one without a vocabulary, and says nothing.
        if not any((self._directory / name).is_file() for name in ("tokenizer.json", "vocab.json")):
            raise WeightsError(f"{self._directory} holds no tokenizer: neither tokenizer.json nor vocab.json is there")
        try:
            return AutoTokenizer.from_pretrained(self._directory, local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsError(f"the tokenizer in {self._directory} cannot be read: {error}") from error


class DinoEncoder:
    """A transformers `ViTModel` that DINO trained, for instance facebook/dino-vitb16. The feature is the class token."""

    def __init__(self, directory: Path, device: torch.device | str = "cpu") -> None:
        from transformers import ViTModel

        self._device = device
        self._model: Any = _load(ViTModel, directory, add_pooling_layer=False).to(device)

    @torch.inference_mode()
    def frames(self, frames: Frames) -> Tensor:
        """(T, d). Frames keep their shape: only the shorter side is brought to the encoder's size."""
        check_frames(frames)
        pixels = to_pixels(frames, self._model.config.image_size, IMAGENET, mode="bilinear")
        parts = [self._model(part.to(self._device), interpolate_pos_encoding=True) for part in pixels.split(BATCH)]
        return F.normalize(torch.cat([part.last_hidden_state[:, 0] for part in parts]), dim=1).cpu()


def _load(kind: Any, directory: Path, **options: Any) -> Any:
    try:
        model, info = kind.from_pretrained(
            directory, use_safetensors=True, local_files_only=True, output_loading_info=True, dtype=torch.float32, **options
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"{directory} is no directory of a {kind.__name__} in safetensors: {error}") from error
    if missing := sorted(info["missing_keys"]):  # transformers draws those at random, and says so in its log only
        raise WeightsError(f"{directory} is no complete {kind.__name__}: it lacks {len(missing)} weights, such as {missing[0]}")
    return model.eval()
