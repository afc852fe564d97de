"""Clips for training on a GPU: drawn by processes on the CPU, kept as latents in the GPU's memory and used many times.

Drawing a clip takes milliseconds of a core, a training step on it microseconds of the GPU. So training draws batches
from the pool while it still fills.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from workers.miniature.pretrained.captions import Caption
from workers.miniature.vae import CHANNELS, GRID, PatchPCA
from workers.miniature.world import NUM_FRAMES, render

_AT_ONCE = 32  # clips that a process hands over


class _Drawn(IterableDataset[tuple[Tensor, Tensor]]):
    """Endless (numbers of captions (n,), uint8 frames (n, T, H, W, 3)); each process draws its own."""

    def __init__(self, captions: list[Caption], seed: int) -> None:
        self._captions, self._seed = captions, seed

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        torch.set_num_threads(1)
        worker = get_worker_info()
        rng = random.Random(f"pool/{self._seed}/{worker.id if worker else 0}")
        while True:
            chosen = [rng.randrange(1, len(self._captions)) for _ in range(_AT_ONCE)]
            clips = [render(self._captions[index].film(rng), rng.getrandbits(32)) for index in chosen]
            yield torch.tensor(chosen), torch.from_numpy(np.stack(clips))


class Pool:
    """Up to `size` clips. `draw` is for one thread; another one fills."""

    def __init__(
        self, captions: list[Caption], analysis: PatchPCA, *, size: int, workers: int, seed: int, device: torch.device
    ) -> None:
        shape = (size, CHANNELS, NUM_FRAMES, GRID, GRID)
        self._latents = torch.empty(shape, dtype=torch.bfloat16 if device.type == "cuda" else torch.float32, device=device)
        self._captions = torch.empty(size, dtype=torch.long, device=device)
        self._analysis = analysis.to(device)
        self.filled = 0
        batches = DataLoader(_Drawn(captions, seed), batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
        self._thread = threading.Thread(target=self._fill, args=(iter(batches),), daemon=True)
        self._thread.start()

    def wait(self, clips: int) -> None:
        while self.filled < min(clips, len(self._latents)):
            if not self._thread.is_alive():
                raise RuntimeError("the thread that fills the pool has died")
            time.sleep(0.05)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Clean latents (count, C, T, h, w) and the numbers of their captions (count,)."""
        index = torch.randint(self.filled, (count,), generator=generator, device=self._latents.device)
        return self._latents[index].float(), self._captions[index]

    @torch.no_grad()
    def _fill(self, batches: Iterator[tuple[Tensor, Tensor]]) -> None:
        size, device = len(self._latents), self._latents.device
        while self.filled < size:
            numbers, frames = next(batches)
            count = min(len(numbers), size - self.filled)
            pixels = frames[:count].to(device).movedim(-1, 1).float() / 127.5 - 1
            self._latents[self.filled : self.filled + count] = self._analysis.denoiser_latents(pixels)
            self._captions[self.filled : self.filled + count] = numbers[:count].to(device)
            self.filled += count
