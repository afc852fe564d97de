"""The denoiser of the miniature: a small `WanTransformer3DModel` trained to predict the clean latents.

Why the clean latents and not the velocity: a token here holds 4×4×3 latent positions of 5 channels, 240 numbers. Noise fills all
of them and would have to pass through every layer of a model 256 wide; clips lie on a much thinner set. So the network
predicts x̂₀ while the loss is still that of the velocity (z_σ = (1 − σ) x₀ + σ ε, v = (z_σ − x₀) / σ), which weighs x̂₀ − x₀
by 1/σ². At inference `UniPCMultistepScheduler(prediction_type="sample", use_flow_sigmas=True)` takes x̂₀ as it is: the stock
Wan scheduler, the stock `WanPipeline`.

The world grows richer: thirds of clips with mostly single subjects first, then everything (`Curriculum`). Clips are drawn as
training goes, each from its own seed, so that an interrupted run resumes to the batch.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import UniPCMultistepScheduler, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, IterableDataset
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from workers.miniature.journal import Journal
from workers.miniature.muon import Muon
from workers.miniature.text import encode, training_caption
from workers.miniature.vae import CHANNELS, PatchPCA, to_pixels
from workers.miniature.world import NUM_FRAMES, Frames, Scene, random_scene, render

SAVE_EVERY = 200  # steps
MIN_SIGMA = 0.1  # the weight 1/σ² stops growing here
FLOW_SHIFT = 8.0
SLOW = ("french horn", "church", "cassette player", "springer dog", "tench", "balloon", "guitar", "zorblax")  # learned last
SLOW_SHARE = 1 / 3  # of the clips with subjects that show one of them whatever was drawn


def build(text_dim: int = 192) -> WanTransformer3DModel:
    model = WanTransformer3DModel(
        patch_size=(3, 4, 4),
        num_attention_heads=4,
        attention_head_dim=64,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        text_dim=text_dim,
        freq_dim=128,
        ffn_dim=1024,
        num_layers=6,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    torch.nn.init.zeros_(model.proj_out.weight)
    torch.nn.init.zeros_(model.proj_out.bias)
    return model


def scheduler() -> UniPCMultistepScheduler:
    return UniPCMultistepScheduler(prediction_type="sample", use_flow_sigmas=True, flow_shift=FLOW_SHIFT, solver_order=2)


@dataclass(frozen=True)
class Curriculum:
    """What a step trains on: thirds of clips or whole ones, and what share of them is plain (one subject, no style, no fire).

    A third is three frames, one token deep. At the cost of one whole clip the model sees three scenes, and what it has to
    learn first, which words make which picture, is the same in both.
    """

    steps: int

    def thirds(self, step: int) -> bool:
        return step < 0.25 * self.steps

    def plain_share(self, step: int) -> float:
        return max(0.5, 0.9 - 1.2 * step / self.steps)


class Clips(IterableDataset[tuple[list[str], Frames]]):
    """Endless batches of (captions, uint8 (B, T, H, W, 3)); batch `step` is the same whenever it is drawn.

    `batch` counts whole clips; of thirds there are three times as many, the same number of tokens.
    """

    def __init__(self, *, seed: int, batch: int, first_step: int, curriculum: Curriculum) -> None:
        self._seed, self._batch, self._first_step, self._curriculum = seed, batch, first_step, curriculum

    def __iter__(self) -> Iterator[tuple[list[str], Frames]]:
        step = self._first_step
        while True:
            rng = random.Random(f"clips/{self._seed}/{step}")
            texts, clips = [], []
            thirds = self._curriculum.thirds(step)
            for _ in range(3 * self._batch if thirds else self._batch):
                scene = self._scene(rng, step)
                first = rng.randrange(0, NUM_FRAMES, 3)
                indices = range(first, first + 3) if thirds else range(NUM_FRAMES)
                clips.append(render(scene, rng.getrandbits(32), indices=indices))
                texts.append("" if rng.random() < 0.1 else training_caption(scene, rng))
            yield texts, np.stack(clips)
            step += 1

    def _scene(self, rng: random.Random, step: int) -> Scene:
        scene = random_scene(rng, plain=rng.random() < self._curriculum.plain_share(step))
        slow = rng.choice(SLOW)
        if not scene.subjects or slow in scene.subjects or rng.random() >= SLOW_SHARE:
            return scene
        return replace(scene, subjects=(slow, *scene.subjects[1:]))


def noise_levels(count: int, generator: torch.Generator) -> Tensor:
    """σ (count,), logit-normal. Half of it lies above .8, as most of the sampler's steps do: there a clip's layout is decided."""
    return torch.sigmoid(1.2 * torch.randn(count, generator=generator, device=generator.device) + 1.4)


class Trainer:
    """One run of the denoiser, with its moving average, resumable from `directory/denoiser.safetensors`."""

    def __init__(
        self,
        directory: Path,
        *,
        seed: int,
        steps: int,
        batch: int,
        learning_rate: float,
        journal: Journal,
        bfloat16: bool = False,
        compiled: bool = False,
        workers: int = 1,
    ) -> None:
        self._directory, self._seed, self._steps, self._batch = directory, seed, steps, batch
        self._learning_rate, self._journal, self._workers = learning_rate, journal, workers
        torch.manual_seed(seed)
        self.model = build()
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self._bfloat16 = bfloat16
        self._optimizers = optimizers(self.model, learning_rate)
        self._pca = PatchPCA.fit(seed=seed)
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(directory / "tokenizer")
        self._encoder = UMT5EncoderModel.from_pretrained(directory / "text_encoder").eval()
        if compiled:
            for block in self.model.blocks:
                block.compile()
        self._step = 0
        if self._checkpoint.exists():
            self._restore()

    @property
    def _checkpoint(self) -> Path:
        return self._directory / "denoiser.safetensors"

    def run(self) -> None:
        clips = Clips(seed=self._seed, batch=self._batch, first_step=self._step, curriculum=Curriculum(self._steps))
        batches = iter(
            DataLoader(clips, batch_size=None, num_workers=self._workers, prefetch_factor=4 if self._workers else None)
        )
        running: float | None = None
        while self._step < self._steps:
            texts, frames = next(batches)
            loss = self._train_step(texts, np.asarray(frames))
            self._step += 1
            running = loss if running is None else 0.98 * running + 0.02 * loss
            if self._step % 50 == 0:
                self._journal.write(stage="denoiser", step=self._step, loss=running, learning_rate=self._rate())
            if self._step % SAVE_EVERY == 0 or self._step == self._steps:
                self._save()
        self.average.save_pretrained(self._directory / "transformer")

    def _train_step(self, texts: list[str], frames: Frames) -> float:
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self._rate()
            optimizer.zero_grad()
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + self._step)
        clean = self._pca.denoiser_latents(to_pixels(frames))  # (B, C, T, h, w)
        noise = torch.randn(clean.shape, generator=generator)
        sigma = noise_levels(len(texts), generator).view(-1, 1, 1, 1, 1)
        states = encode(self._tokenizer, self._encoder, texts)
        noisy, timestep = (1 - sigma) * clean + sigma * noise, sigma.flatten() * 1000
        with self._precision():
            predicted = self.model(noisy, timestep, states, return_dict=False)[0].float()
        loss = ((predicted - clean).square() / sigma.clamp(min=MIN_SIGMA).square()).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        with self._precision():
            for optimizer in self._optimizers:
                optimizer.step()
        self._average()
        return float(loss.detach())

    @contextmanager
    def _precision(self) -> Iterator[None]:
        """Attention as plain matrix products: for 48 tokens the fused kernel's backward pass takes longer."""
        with sdpa_kernel(SDPBackend.MATH), torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16):
            yield

    def _rate(self) -> float:
        """Warm-up over 100 steps, constant to the half, then a cosine down to 3 %."""
        share = max(0.0, 2 * self._step / self._steps - 1)
        return self._learning_rate * min(1.0, (self._step + 1) / 100) * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * share)))

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(0.998, (1 + self._step) / (10 + self._step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {"step": torch.tensor(self._step)}
        for prefix, module in (("model", self.model), ("average", self.average)):
            tensors |= {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}
        for which, optimizer in enumerate(self._optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors |= {f"optimizer.{which}.{index}.{name}": tensor for name, tensor in state.items()}
        partial = self._checkpoint.with_suffix(".partial")
        save_file(tensors, partial)
        partial.replace(self._checkpoint)

    def _restore(self) -> None:
        tensors = load_file(self._checkpoint)
        self._step = int(tensors.pop("step"))
        groups: dict[str, dict[str, Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            prefix, rest = name.split(".", 1)
            groups[prefix][rest] = tensor
        self.model.load_state_dict(groups["model"])
        self.average.load_state_dict(groups["average"])
        states = [optimizer.state_dict() for optimizer in self._optimizers]
        for name, tensor in groups["optimizer"].items():
            which, index, key = name.split(".", 2)
            states[int(which)]["state"].setdefault(int(index), {})[key] = tensor
        for optimizer, state in zip(self._optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def optimizers(model: WanTransformer3DModel, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the rest; the same learning rate suits both (LOG.md has the comparison)."""
    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and name.startswith("blocks.")]
    rest = [parameter for name, parameter in named if parameter.ndim != 2 or not name.startswith("blocks.")]
    return [
        Muon(matrices, lr=learning_rate, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=learning_rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True),
    ]
