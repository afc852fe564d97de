"""CogVideoX: T5 whose padding is attended to, noise added by the scheduler, latents with time before channels."""

from __future__ import annotations

from typing import Literal

import torch

from erasers.choices import Padding
from workers.pipelines.base import Shape
from workers.pipelines.stock import StockPipeline


class CogVideoXAdapter(StockPipeline):
    @property
    def padding(self) -> Padding:
        return "attended"

    def _family(self) -> Literal["cogvideox"]:
        return "cogvideox"

    def _clean(self, text: str) -> str:
        return text

    def _max_tokens(self) -> int:
        return int(self.pipe.transformer.config.max_text_seq_length)

    def _size_multiple(self) -> int:
        return int(self.pipe.vae_scale_factor_spatial * self.pipe.transformer.config.patch_size)

    def _frame_rule(self) -> tuple[int, int]:
        # The VAE keeps the first frame single only where the number of latent frames is odd.
        return 2 * self.pipe.vae_scale_factor_temporal, 1

    def _latent_size(self, shape: Shape) -> tuple[int, int, int, int]:
        s = self.pipe.vae_scale_factor_spatial
        frames = self._latent_frames(shape) + self._padding_frames(shape)
        return frames, self.pipe.transformer.config.in_channels, shape.height // s, shape.width // s

    def _noise_dtype(self) -> torch.dtype:
        return self._denoiser_dtype()

    def _trim(self, latents: torch.Tensor, shape: Shape) -> torch.Tensor:
        return latents[:, self._padding_frames(shape) :]

    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        video: torch.Tensor = self.pipe.decode_latents(latents.to(self.pipe.vae.device, self.pipe.vae.dtype))
        return video

    def _latent_frames(self, shape: Shape) -> int:
        return int((shape.num_frames - 1) // self.pipe.vae_scale_factor_temporal + 1)

    def _padding_frames(self, shape: Shape) -> int:
        """CogVideoX 1.5 takes latent frames in patches; what is missing is put in front and thrown away afterwards."""
        patch = self.pipe.transformer.config.patch_size_t or 1
        return -self._latent_frames(shape) % int(patch)
