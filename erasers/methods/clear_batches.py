"""Batches of pairs for Algorithm 1: hidden states of every layer, normalised, real tokens only."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from erasers.encoding import max_by_prompt, mean_by_prompt
from erasers.methods.base import TrainingSet
from erasers.methods.clear_config import ClearConfig
from erasers.normalise import Normalisation


class Batch(NamedTuple):
    positive: Tensor
    """(L, n, d_model)"""
    negative: Tensor
    """(L, m, d_model): the same scenes without the concept, usually fewer tokens"""
    prompts: tuple[Tensor, Tensor]
    """(n,) and (m,): which prompt of the batch a token is of"""
    reduction: str

    @property
    def sides(self) -> tuple[Tensor, Tensor]:
        return self.positive, self.negative

    def reduce(self, f: Tensor, side: int) -> Tensor:
        """f of one layer and side, reduced over tokens and averaged over prompts: (d_sae,)."""
        reduce = mean_by_prompt if self.reduction == "mean" else max_by_prompt
        return reduce(f, self.prompts[side]).mean(0)


class Batches:
    def __init__(self, data: TrainingSet, normalisation: Normalisation, config: ClearConfig) -> None:
        self._data, self._normalisation, self._config = data, normalisation, config

    def draw(self, generator: torch.Generator) -> Batch:
        """`batch_pairs` pairs, with replacement."""
        cache = self._data.cache
        chosen = torch.randint(len(self._data.positive), (self._config.batch_pairs,), generator=generator)
        sides, prompts = [], []
        for rows in (self._data.positive, self._data.negative):
            positions, prompt = cache.tokens(rows[chosen])
            sides.append(self._normalisation.all_layers(cache.all_layers(positions)))
            prompts.append(prompt.to(cache.device))
        return Batch(sides[0], sides[1], (prompts[0], prompts[1]), self._config.fneg)
