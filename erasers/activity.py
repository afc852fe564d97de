"""How active each feature is on a set of prompts at one layer: exact, in chunks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from erasers.cache import ActivationCache
from erasers.choices import Reduction
from erasers.encoding import max_by_prompt, mean_by_prompt

CHUNK_PROMPTS = 64


class Chunk(NamedTuple):
    h: Tensor
    """(n, d_model), float32"""
    prompt: Tensor
    """(n,): which prompt of the chunk a token is of"""


def chunks(cache: ActivationCache, layer: int, rows: Tensor) -> Iterator[Chunk]:
    for part in rows.split(CHUNK_PROMPTS):
        positions, prompt = cache.tokens(part)
        yield Chunk(cache.layer(layer, positions), prompt.to(cache.device))


@torch.no_grad()
def activity(
    encode: Callable[[Tensor], Tensor], cache: ActivationCache, layer: int, rows: Tensor, reduction: Reduction
) -> Tensor:
    """(d_sae,): f of `encode` reduced over tokens, then averaged over prompts."""
    reduce = mean_by_prompt if reduction == "mean" else max_by_prompt
    totals = [reduce(encode(chunk.h), chunk.prompt).sum(0) for chunk in chunks(cache, layer, rows)]
    return torch.stack(totals).sum(0) / len(rows)
