"""The VAE of the miniature: an `AutoencoderKLWan` whose encoder is a principal component analysis of 4×4-pixel patches.

Training an encoder on a CPU takes longer than all the rest. So its weights are *set*: its first convolution computes the
leading principal components c of each patch and also −c and a large constant K; every block in between passes its input on
(its residual branch ends in zeros); the last convolution reads c back, because RMS norm divides by almost a constant and
SiLU(x) − SiLU(−x) = x. So latents are known before any training. They are few: five numbers for a patch of 48, a thumbnail of
16×16 with its slopes, which is what so small a denoiser can learn to lay out. The decoder (`vae_training`) paints the detail.

Latents are scaled between whitened and raw (`latents_std`): whitened ones would spend the denoiser on noise-like detail.
"""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock, WanCausalConv3d, WanResidualBlock
from safetensors.torch import load_file
from torch import Tensor

from workers.miniature.world import CELL, NUM_FRAMES, SIZE, random_scene, render

PATCH = CELL
CHANNELS = 5
"""Principal components kept of the 48 numbers of a patch: its colour and its two slopes."""
GRID = SIZE // PATCH
_ENCODER_WIDTH = 32
_DECODER_WIDTH = 96
_LEVEL = 6.0
"""What RMS norm divides by where weights are set by hand: the constant channel holds this times the root of the width."""


def to_pixels(frames: np.ndarray) -> Tensor:
    """`uint8 (…, T, H, W, 3)` → float `(…, 3, T, H, W)` in −1 … 1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).movedim(-1, -4).float() / 127.5 - 1


def to_frames(pixels: Tensor) -> np.ndarray:
    """The inverse of `to_pixels`, rounded and clipped."""
    return ((pixels.movedim(-4, -1).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy()


class PatchPCA:
    """Principal components of patches: `encode` (B, 3, T, H, W) pixels → (B, CHANNELS, T, GRID, GRID) whitened codes."""

    def __init__(self, mean: Tensor, scale: Tensor, basis: Tensor) -> None:
        self.mean = mean  # (48,)
        self.scale = scale  # (CHANNELS,) standard deviations, falling
        self.basis = basis  # (48, CHANNELS), orthonormal columns

    @classmethod
    def fit(cls, *, seed: int, clips: int = 600) -> PatchPCA:
        rng = random.Random(f"pca/{seed}")
        frames = np.stack([render(random_scene(rng), rng.getrandbits(32))[:: NUM_FRAMES // 2] for _ in range(clips)])
        patches = cls._patches(to_pixels(frames)).movedim(1, -1).flatten(0, -2)  # (N, 48)
        mean = patches.mean(0)
        variances, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        order = variances.argsort(descending=True)[:CHANNELS]
        return cls(mean, variances[order].sqrt(), vectors[:, order])

    @classmethod
    def of_vae(cls, directory: Path) -> PatchPCA:
        """The analysis that the encoder of the VAE in `directory` computes, read from its weights.

        `mean` is its projection on the components, which is all that `encode` needs.
        """
        weights = load_file(directory / "diffusion_pytorch_model.safetensors")
        rows = weights["encoder.conv_in.weight"][:CHANNELS, :, 2, 1, 1].float()  # (basis / scale).T
        scale = 1 / rows.norm(dim=1)
        basis = (rows * scale[:, None]).T
        return cls(-basis @ (weights["encoder.conv_in.bias"][:CHANNELS].float() * scale), scale, basis)

    def to(self, device: torch.device) -> PatchPCA:
        return PatchPCA(self.mean.to(device), self.scale.to(device), self.basis.to(device))

    @staticmethod
    def _patches(pixels: Tensor) -> Tensor:
        """In the order in which `AutoencoderKLWan` patchifies: channel, then column, then row of the patch."""
        b, c, t, h, w = pixels.shape
        cut = pixels.reshape(b, c, t, h // PATCH, PATCH, w // PATCH, PATCH)
        return cut.permute(0, 1, 6, 4, 2, 3, 5).reshape(b, c * PATCH * PATCH, t, h // PATCH, w // PATCH)

    def encode(self, pixels: Tensor) -> Tensor:
        centred = self._patches(pixels) - self.mean.view(1, -1, 1, 1, 1)
        return torch.einsum("bpthw,pc->bcthw", centred, self.basis / self.scale)

    def decode(self, codes: Tensor) -> Tensor:
        """Whitened codes back to pixels, as well as a linear map can; a trained decoder does better."""
        patches = torch.einsum("bcthw,pc->bpthw", codes, self.basis * self.scale) + self.mean.view(1, -1, 1, 1, 1)
        return unpatch(patches)

    @property
    def latents_std(self) -> Tensor:
        """What `WanPipeline` divides by: the denoiser sees channels of standard deviation ∝ √scale, mean square 1."""
        partial = self.scale.sqrt()
        return (partial.square().mean().sqrt() / partial).contiguous()

    def denoiser_latents(self, pixels: Tensor) -> Tensor:
        return self.encode(pixels) / self.latents_std.view(1, -1, 1, 1, 1)


def build(pca: PatchPCA) -> AutoencoderKLWan:
    """The VAE whose encoder computes `pca`. Its decoder is as diffusers initialises it, to be trained, frame by frame."""
    vae = AutoencoderKLWan(
        base_dim=_ENCODER_WIDTH,
        decoder_base_dim=_DECODER_WIDTH,
        z_dim=CHANNELS,
        dim_mult=[1],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[],
        in_channels=3 * PATCH * PATCH,
        out_channels=3 * PATCH * PATCH,
        patch_size=PATCH,
        scale_factor_spatial=PATCH,
        scale_factor_temporal=1,
        latents_mean=[0.0] * CHANNELS,
        latents_std=pca.latents_std.tolist(),
    )
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, WanCausalConv3d) and module.weight.shape[2] == 3:
                module.weight[:, :, :2] = 0  # the tap of the present frame alone
                module.weight.mul_(3**0.5)  # a third of the fan-in
        whiten = (pca.basis / pca.scale).T
        _inject(vae.encoder.conv_in, whiten, -(whiten @ pca.mean))
        _read_out(vae.encoder.conv_out, torch.eye(CHANNELS), torch.zeros(CHANNELS))
        vae.encoder.conv_out.bias[CHANNELS:] = -12.0  # log variance: the code is deterministic
        vae.encoder.conv_out.weight[CHANNELS:] = 0
        for conv, rows in ((vae.quant_conv, 2 * CHANNELS), (vae.post_quant_conv, CHANNELS)):
            conv.weight.zero_()
            conv.bias.zero_()
            conv.weight[:, :, 0, 0, 0] = torch.eye(rows)
        for module in vae.encoder.modules():
            if isinstance(module, WanResidualBlock):
                module.conv2.weight.zero_()
                module.conv2.bias.zero_()
            if isinstance(module, WanAttentionBlock):
                module.proj.weight.zero_()
                module.proj.bias.zero_()
    return vae.eval()


def _inject(conv: WanCausalConv3d, matrix: Tensor, bias: Tensor) -> None:
    """Output channels 0 … 2k: M x + b, −(M x + b), and the constant; the rest start small and random."""
    k = len(matrix)
    conv.weight[: 2 * k + 1] = 0
    conv.weight[2 * k + 1 :] *= 0.1
    conv.bias.zero_()
    for sign, rows in ((1, slice(0, k)), (-1, slice(k, 2 * k))):
        conv.weight[rows, :, 2, 1, 1] = sign * matrix
        conv.bias[rows] = sign * bias
    conv.bias[2 * k] = _LEVEL * conv.out_channels**0.5


def _read_out(conv: WanCausalConv3d, matrix: Tensor, bias: Tensor) -> None:
    """M c + b from the normed, SiLU-ed channels that `_inject` wrote."""
    rows, k = matrix.shape
    conv.weight[:rows] = 0
    conv.bias[:rows] = bias
    conv.weight[:rows, :k, 2, 1, 1] = _LEVEL * matrix
    conv.weight[:rows, k : 2 * k, 2, 1, 1] = -_LEVEL * matrix


def unpatch(patches: Tensor) -> Tensor:
    b, _, t, h, w = patches.shape
    cut = patches.reshape(b, 3, PATCH, PATCH, t, h, w)  # colour, column, row
    return cut.permute(0, 1, 4, 5, 3, 6, 2).reshape(b, 3, t, h * PATCH, w * PATCH)
