"""Wan 2.1 and 2.2 (and the miniature): UMT5 with padding set to exactly zero, flow matching, a causal VAE."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from diffusers.pipelines.wan.pipeline_wan import prompt_clean

from erasers.choices import Padding
from workers.pipelines.base import Conditioning, OnStep, Shape
from workers.pipelines.encoder import Encoder
from workers.pipelines.profiles import Profile
from workers.pipelines.stock import StockPipeline

MAX_TOKENS = 512
VAE_DTYPE = torch.float32
"""Whatever the rest runs in: in bfloat16 this VAE bands visibly."""


class WanAdapter(StockPipeline):
    def __init__(self, pipe: Any, encoder: Encoder, *, model_id: str, profile: Profile) -> None:
        super().__init__(pipe, encoder, model_id=model_id, profile=profile)
        transformer = pipe.transformer or pipe.transformer_2
        self._channels: int = transformer.config.in_channels
        self._patch: tuple[int, int, int] = tuple(transformer.config.patch_size)

    def denoise(self, rows: Sequence[Conditioning], seeds: Sequence[int], shape: Shape, on_step: OnStep) -> torch.Tensor:
        with _without_rounding_notice():
            return super().denoise(rows, seeds, shape, on_step)

    @property
    def padding(self) -> Padding:
        return "masked"

    def _family(self) -> Literal["wan"]:
        return "wan"

    def _clean(self, text: str) -> str:
        return str(prompt_clean(text))

    def _max_tokens(self) -> int:
        return min(MAX_TOKENS, int(self.tokenizer.model_max_length))

    def _size_multiple(self) -> int:
        return math.lcm(16, self.pipe.vae_scale_factor_spatial * math.lcm(*self._patch[1:]))

    def _frame_rule(self) -> tuple[int, int]:
        # (F - 1) / t + 1 latent frames, a multiple of the patch's p of them: F = k·t·p + 1 - t
        t, p = self.pipe.vae_scale_factor_temporal, self._patch[0]
        return t * p, (1 - t) % (t * p)

    def _latent_size(self, shape: Shape) -> tuple[int, int, int, int]:
        t, s = self.pipe.vae_scale_factor_temporal, self.pipe.vae_scale_factor_spatial
        return self._channels, (shape.num_frames - 1) // t + 1, shape.height // s, shape.width // s

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        vae = self.pipe.vae
        latents = latents.to(vae.device, vae.dtype)
        mean, std = (
            torch.tensor(values, device=latents.device, dtype=latents.dtype).view(1, -1, 1, 1, 1)
            for values in (vae.config.latents_mean, vae.config.latents_std)
        )
        video: torch.Tensor = vae.decode(latents * std + mean, return_dict=False)[0]
        return video


class _without_rounding_notice:
    """Drop WanPipeline's notice that it rounds num_frames: it says so for every video when the VAE keeps all frames, and
    with latents given the rounded number is not used."""

    _logger = logging.getLogger("diffusers.pipelines.wan.pipeline_wan")

    def __enter__(self) -> None:
        self._logger.addFilter(self._keep)

    def __exit__(self, *_: object) -> None:
        self._logger.removeFilter(self._keep)

    @staticmethod
    def _keep(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("`num_frames - 1` has to be divisible")
