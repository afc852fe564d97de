"""`python -m tests.benchmarks.training [--scale miniature|paper] [--precision …]`: what an eraser costs to train, stage by stage.

`miniature` trains CLEAR and a direction for a concept of the miniature, with default settings. `paper` is CLEAR as the
paper trains it (2,000 pairs, d_sae 131,072, 2,500 iterations, batches of 16) on a UMT5-XXL of random weights: for a GPU of 80 GB.
Tokens are those of the prompts: encoding sees each once, a step of the training those of its batch.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch
from torch import nn

import erasers
from erasers.choices import Precision
from erasers.methods.clear_config import ClearConfig
from workers.contract import TrainingTask
from workers.miniature import grammar
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.training.pairs import Material, material_for

CONCEPT = "parachute"
PAPER_PAIRS = 2000
RESIDENT_BYTES = 48 * 2**30


@dataclass(frozen=True)
class Trained:
    seconds: Mapping[str, float]
    """by stage, in order"""
    steps: Mapping[str, int]
    prompts: int
    tokens: int
    first_search_step: float
    """Seconds, with what comes before it: statistics of the activations, the random SAE."""

    def seconds_at(self, iterations: int) -> float:
        """Extrapolated: the whole training with so many steps of the search in place of those that were taken."""
        taken = self.steps["search"]
        each = (self.seconds["search"] - self.first_search_step) / max(1, taken - 1)
        return sum(self.seconds.values()) + (iterations - taken) * each

    def tokens_per_second(self, stage: str, batch: int) -> float | None:
        """`batch`: prompts of one step. None for stages that do not go through prompts by the batch."""
        if stage == "encode":
            return self.tokens / self.seconds[stage]
        if stage not in ("search", "refine"):
            return None
        return self.steps[stage] * batch * self.tokens / self.prompts / self.seconds[stage]


class _Enough(Exception):
    pass


def timed(
    encoder: nn.Module,
    tokenizer: Any,
    material: Material,
    method: str,
    config: Mapping[str, Any],
    seed: int,
    *,
    search_steps: int | None = None,
) -> Trained:
    """Train, with a clock on each stage. With `search_steps` the training ends after so many steps of the search."""
    seconds: dict[str, float] = {}
    first_search_step = 0.0
    steps: dict[str, int] = {}
    encoder_device = next(encoder.parameters()).device
    began = time.perf_counter()

    def tell(stage: str, _step: int, _total: int, _info: object) -> None:
        nonlocal began, first_search_step
        if encoder_device.type == "cuda":
            torch.cuda.synchronize(encoder_device)
        now = time.perf_counter()
        seconds[stage] = seconds.get(stage, 0.0) + now - began
        steps[stage] = steps.get(stage, 0) + 1
        if stage == "search" and steps[stage] == 1:
            first_search_step = seconds[stage]
        if stage == "search" and steps[stage] == search_steps:
            raise _Enough
        began = now

    with suppress(_Enough):
        erasers.train(
            encoder,
            tokenizer,
            material.pairs,
            method=method,
            config=config,
            keep_prompts=material.keep_prompts,
            progress=tell,
            seed=seed,
            cache_budget_bytes=RESIDENT_BYTES,
        )
    prompts = list(dict.fromkeys([*material.pairs.positive, *material.pairs.negative, *material.keep_prompts]))
    return Trained(seconds, steps, len(prompts), sum(len(ids) for ids in tokenizer(prompts).input_ids), first_search_step)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scale", choices=("miniature", "paper"), default="miniature")
    parser.add_argument("--precision", nargs="+", choices=get_args(Precision), default=["tf32"])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.scale == "paper" and not torch.cuda.is_available():
        parser.error("--scale paper is for a GPU of 80 GB, and torch finds no CUDA device: on a CPU it takes days")
    pipeline = load_pipeline(WorkerSettings(model="miniature", device="cpu" if options.scale == "paper" else "auto"))
    encoder, tokenizer = pipeline.text_encoder, pipeline.tokenizer
    material = miniature_material(options.seed)
    runs: list[tuple[str, Mapping[str, Any]]] = [("clear", {"precision": precision}) for precision in options.precision]
    if options.scale == "paper":
        encoder, material = paper_encoder(options.seed), paper_material(material, PAPER_PAIRS, options.seed)
        runs = [(method, asdict(ClearConfig.paper()) | config) for method, config in runs]
    runs.append(("steering", {}))
    sys.stdout.write(f"torch {torch.__version__}, {device_name(encoder)}, {torch.get_num_threads()} threads, {vars(options)}\n")
    for method, config in runs:
        batch = 2 * ClearConfig(**config).batch_pairs if method == "clear" else 0
        trained = timed(encoder, tokenizer, material, method, config, options.seed)
        about = f"{method} {config.get('precision', '')}".strip()
        total = sum(trained.seconds.values())
        sys.stdout.write(f"\n{about}: {total:.1f} s a concept, {trained.prompts} prompts of {trained.tokens} tokens\n")
        for stage, seconds in trained.seconds.items():
            rate = trained.tokens_per_second(stage, batch)
            said = "" if rate is None else f" {rate:>12,.0f} tokens/s"
            sys.stdout.write(f"{stage:>10} {seconds:>9.2f} s{said}\n")
    if torch.cuda.is_available():
        sys.stdout.write(f"\nat most {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB on the GPU\n")


def miniature_material(seed: int) -> Material:
    task = TrainingTask(id="bench", attempt=1, model="miniature", concept=CONCEPT, version=1, method="clear", seed=seed)
    return material_for(task)


def paper_encoder(seed: int) -> nn.Module:
    from tests.gpu.full_size import UMT5, made_in

    torch.manual_seed(seed)
    with made_in(torch.bfloat16, "cuda"):
        from transformers import UMT5EncoderModel

        return UMT5EncoderModel(UMT5).eval().requires_grad_(False)


def paper_material(material: Material, pairs: int, seed: int) -> Material:
    """So many pairs, in words that the miniature's tokenizer has: as many tokens a prompt as there are words, about as T5 has."""
    return Material(erasers.Pairs.unique(material.pairs.concept, grammar.pairs(CONCEPT, pairs, seed)), material.keep_prompts)


def device_name(encoder: nn.Module) -> str:
    device = next(encoder.parameters()).device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
