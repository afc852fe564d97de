"""How the decoder of the miniature's VAE learns to paint what the latents leave out.

It sees latents as a denoiser leaves them: half of a batch are the denoiser's own estimates x̂₀ of noised clips, with its
blurs and its misfits between tokens, the rest are true latents under a little noise. What it should paint is the true
frame. Frames are decoded alone.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from workers.miniature.journal import Journal
from workers.miniature.text import encode, training_caption
from workers.miniature.vae import PatchPCA, build, to_pixels, unpatch
from workers.miniature.world import Scene, random_scene, render

CLIPS = 6
"""In a step; every frame of a clip is one picture."""

LEARNING_RATE = 4e-3

MAX_SIGMA = 0.6
"""Beyond it a clip's layout is open, and the estimate a mean of layouts that no true frame goes with."""

Estimate = Callable[[Tensor, Tensor, list[str]], Tensor]
"""(noisy latents (B, C, T, h, w), σ (B,), captions) → estimate of the clean latents, as `denoiser_latents` scales them."""


@contextmanager
def single_frames(module: nn.Module) -> Iterator[None]:
    """Causal 3-d convolutions over single frames as the 2-d convolutions they amount to, at a third of the cost."""
    convolutions = [part for part in module.modules() if isinstance(part, WanCausalConv3d)]
    for convolution in convolutions:
        convolution.forward = functools.partial(_present_alone, convolution)
    try:
        yield
    finally:
        for convolution in convolutions:
            del convolution.forward


def _present_alone(convolution: WanCausalConv3d, x: Tensor, cache_x: None = None) -> Tensor:
    weight = convolution.weight[:, :, -1]
    return F.conv2d(x[:, :, 0], weight, convolution.bias, padding=weight.shape[-1] // 2)[:, :, None]


def decode_frames(vae: AutoencoderKLWan, latents: Tensor) -> Tensor:
    """Like `vae.decode` for clips of one frame, but without its clamp, which has no gradient outside −1 … 1."""
    with single_frames(vae):
        return unpatch(vae.decoder(vae.post_quant_conv(latents), first_chunk=True))


def train_decoder(
    vae: AutoencoderKLWan,
    pca: PatchPCA,
    *,
    seed: int,
    steps: int,
    journal: Journal,
    estimate: Estimate | None = None,
    bfloat16: bool = False,
) -> None:
    """Trains the decoder alone. Without an `estimate` it learns from true latents under noise."""
    rng = random.Random(f"vae/{seed}")
    generator = torch.Generator().manual_seed(seed)
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    parameters = list(vae.decoder.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=LEARNING_RATE, total_steps=steps, pct_start=0.1)
    scale = pca.latents_std.view(1, -1, 1, 1, 1)
    running: float | None = None
    for step in range(1, steps + 1):
        scenes = [random_scene(rng) for _ in range(CLIPS)]
        pixels = to_pixels(np.stack([render(scene, rng.getrandbits(32)) for scene in scenes]))  # (B, 3, T, H, W)
        latents = _as_generated(pca.denoiser_latents(pixels), scenes, rng, generator, estimate)
        target = _frames(pixels)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            decoded = decode_frames(vae, _frames(latents) * scale).float()
        loss = F.l1_loss(decoded, target) + 2 * F.mse_loss(decoded, target) + 0.5 * _gradient_loss(decoded, target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 0:
            psnr = -10 * F.mse_loss(decoded.clamp(-1, 1), target).div(4).log10().item()
            journal.write(stage="vae", step=step, loss=running, psnr_db=psnr)
    vae.requires_grad_(True)


def _frames(clips: Tensor) -> Tensor:
    """(B, C, T, h, w) → (B·T, C, 1, h, w)."""
    return clips.transpose(1, 2).flatten(0, 1)[:, :, None]


@torch.no_grad()
def _as_generated(
    clean: Tensor, scenes: list[Scene], rng: random.Random, generator: torch.Generator, estimate: Estimate | None
) -> Tensor:
    noise = torch.randn(clean.shape, generator=generator)
    half = 0 if estimate is None else len(clean) // 2
    little = 0.15 * torch.rand(len(clean) - half, 1, 1, 1, 1, generator=generator)
    latents = clean.clone()
    latents[half:] += little * noise[half:]
    if estimate is not None:
        sigma = MAX_SIGMA * torch.rand(half, generator=generator)
        wide = sigma.view(-1, 1, 1, 1, 1)
        texts = [training_caption(scene, rng) for scene in scenes[:half]]
        latents[:half] = estimate((1 - wide) * clean[:half] + wide * noise[:half], sigma, texts)
    return latents


def _gradient_loss(decoded: Tensor, pixels: Tensor) -> Tensor:
    across = F.l1_loss(decoded.diff(dim=-1), pixels.diff(dim=-1))
    return across + F.l1_loss(decoded.diff(dim=-2), pixels.diff(dim=-2))


def estimate_of(directory: Path) -> Estimate:
    """The denoiser that lies in `directory`."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(directory / "tokenizer")
    encoder = UMT5EncoderModel.from_pretrained(directory / "text_encoder").eval()
    denoiser = WanTransformer3DModel.from_pretrained(directory / "transformer").eval()

    def estimate(noisy: Tensor, sigma: Tensor, texts: list[str]) -> Tensor:
        predicted: Tensor = denoiser(noisy, sigma * 1000, encode(tokenizer, encoder, texts), return_dict=False)[0]
        return predicted

    return estimate


def train(directory: Path, *, seed: int, steps: int, journal: Journal, bfloat16: bool = False) -> None:
    """Writes `directory/vae`. Needs `directory/transformer`."""
    torch.manual_seed(seed)
    pca = PatchPCA.fit(seed=seed)
    vae = build(pca)
    train_decoder(vae, pca, seed=seed, steps=steps, journal=journal, estimate=estimate_of(directory), bfloat16=bfloat16)
    vae.save_pretrained(directory / "vae")
