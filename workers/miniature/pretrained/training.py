"""Trains the denoiser on a GPU within a given time: `python -m workers.miniature.pretrained.training --states FILE …`.

The recipe is the miniature's (`workers.miniature.denoiser`): clean latents predicted, velocity loss, Muon. The differences:
batches are large, clips come from a pool, the learning rate falls to zero at a deadline in seconds, and the text is codes of the
encoder's states (`states`) under noise. The noise is what carries a word that was never met to the picture of its synonyms: in
the trial (LOG.md) a reader of noisy states recognises more held-out words than one of clean states.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from workers.miniature.denoiser import MIN_SIGMA, build, noise_levels, optimizers
from workers.miniature.journal import Journal
from workers.miniature.pretrained import states
from workers.miniature.pretrained.padding import PaddingOnce, noisy_codes
from workers.miniature.pretrained.pool import Pool
from workers.miniature.pretrained.weights import read_shards, write_shards
from workers.miniature.vae import PatchPCA
from workers.miniature.weights import MODEL_DIR
from workers.miniature.world import NUM_FRAMES

DROPPED = 0.1  # of captions become the empty prompt
THIRDS_UNTIL = 0.15  # share of the time that is spent on thirds of clips, as in `denoiser.Curriculum`


class Trainer:
    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._directory: Path = options.directory
        self._journal = Journal(self._directory / "build.jsonl")
        self._device = torch.device(options.device)
        torch.manual_seed(options.seed)
        torch.set_float32_matmul_precision("high")
        known = states.read(options.states)
        analysis = PatchPCA.of_vae(MODEL_DIR / "vae")
        self._pool = Pool(
            known.captions, analysis, size=options.pool, workers=options.workers, seed=options.seed, device=self._device
        )
        self._known = known.to(self._device)
        self._model = build(known.codes.shape[-1]).to(self._device)
        if options.resume is not None:
            self._model.load_state_dict(read_shards(options.resume))
        self._average = copy.deepcopy(self._model).eval().requires_grad_(False)
        for block in self._model.blocks:
            block.attn2.set_processor(PaddingOnce())
            if options.compile:
                block.compile(dynamic=False)
        self._optimizers = optimizers(self._model, options.learning_rate)
        self._generator = torch.Generator(self._device).manual_seed(options.seed)
        self._step = 0

    def run(self) -> None:
        options = self._options
        self._pool.wait(options.batch)
        started = logged = saved = time.monotonic()
        parameters = sum(parameter.numel() for parameter in self._model.parameters())
        self._journal.write(stage="start", captions=len(self._known.captions), parameters=parameters, batch=options.batch)
        total, counted = torch.zeros((), device=self._device), 0
        while True:
            share = (time.monotonic() - started) / options.seconds
            if share >= 1:
                break
            total += self._train_step(share)
            counted += 1
            self._step += 1
            if self._step % 20 == 0 and self._device.type == "cuda":
                torch.cuda.synchronize()
            if time.monotonic() - logged > options.log_every:
                logged = time.monotonic()
                self._journal.write(
                    stage="denoiser", step=self._step, loss=float(total) / counted, pool=self._pool.filled, share=round(share, 3)
                )
                total, counted = torch.zeros_like(total), 0
            if time.monotonic() - saved > options.save_every:
                saved = time.monotonic()
                write_shards(self._average, self._directory)
        write_shards(self._average, self._directory)
        self._journal.write(stage="end", step=self._step)

    def _train_step(self, share: float) -> Tensor:
        options, rate = self._options, self._rate(share)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad(set_to_none=True)
        thirds = share < THIRDS_UNTIL
        clean, captions = self._pool.draw(options.batch * (3 if thirds else 1), self._generator)
        if thirds:
            first = 3 * int(torch.randint(NUM_FRAMES // 3, ()))
            clean = clean[:, :, first : first + 3]
        sigma = noise_levels(len(clean), self._generator).view(-1, 1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=self._generator, device=self._device)
        noisy = (1 - sigma) * clean + sigma * noise
        captions = captions.where(torch.rand(len(captions), generator=self._generator, device=self._device) >= DROPPED, 0)
        codes = noisy_codes(self._known, captions, self._generator)
        with self._precision():
            predicted = self._model(noisy, sigma.flatten() * 1000, codes, return_dict=False)[0].float()
        loss: Tensor = ((predicted - clean).square() / sigma.clamp(min=MIN_SIGMA).square()).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), 1.0)
        with self._precision():
            for optimizer in self._optimizers:
                optimizer.step()
        decay = min(0.998, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self._average.parameters()), list(self._model.parameters()), 1 - decay)
        return loss.detach()

    def _precision(self) -> Any:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._options.bfloat16)

    def _rate(self, share: float) -> float:
        """Warm-up over 200 steps, constant for a third of the time, then linearly to zero at the deadline."""
        rate: float = self._options.learning_rate
        return rate * min(1.0, (self._step + 1) / 200) * min(1.0, (1 - share) / 0.65)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--states", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True, help="where weights and the log go")
    parser.add_argument("--seconds", type=float, required=True, help="of training; the learning rate is zero at their end")
    parser.add_argument("--resume", type=Path, help="directory with weights to start from")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--pool", type=int, default=400_000, help="clips; each takes 23 kB of the GPU's memory")
    parser.add_argument("--workers", type=int, default=14, help="processes that draw clips")
    parser.add_argument("--bfloat16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--log-every", type=float, default=5.0, help="seconds")
    parser.add_argument("--save-every", type=float, default=45.0, help="seconds")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    Trainer(options).run()


if __name__ == "__main__":
    main()
