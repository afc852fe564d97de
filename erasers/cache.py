"""Activations of all blocks, every prompt encoded once: training never runs the encoder again.

Holds real tokens only (EOS in, padding out), flat, in the encoder's dtype: on the encoder's device while they fit a
budget, memory-mapped from a file when they do not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from erasers import encoders
from erasers.encoding import PromptEncoder, mean_by_prompt
from erasers.hooks import recording_blocks

DEFAULT_BUDGET_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class ActivationCache:
    prompts: tuple[str, ...]
    starts: Tensor
    """(prompts + 1,): prompt i's tokens are starts[i] … starts[i + 1] - 1. On the CPU."""
    states: Tensor
    """(L, N, d_model): h_l, the residual stream after block l."""
    final: Tensor
    """(prompts, d_model): the mean over tokens of the embeddings after the final layer norm, float32."""
    device: torch.device
    """Where batches are handed out."""

    @property
    def layers(self) -> int:
        return self.states.shape[0]

    @property
    def d_model(self) -> int:
        return self.states.shape[2]

    def rows(self, prompts: Sequence[str]) -> Tensor:
        """Row of each prompt; a prompt may be asked for more than once."""
        index = {prompt: row for row, prompt in enumerate(self.prompts)}
        return torch.tensor([index[prompt] for prompt in prompts], dtype=torch.long)

    def tokens(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Flat positions of the tokens of these rows, and for each which of the rows it is of (0, 1, …)."""
        lengths = self.starts[rows + 1] - self.starts[rows]
        prompt = torch.repeat_interleave(lengths)
        first = torch.cumsum(lengths, 0) - lengths
        return (self.starts[rows] - first)[prompt] + torch.arange(len(prompt)), prompt

    def layer(self, layer: int, positions: Tensor) -> Tensor:
        """h_l at these positions: (n, d_model), float32."""
        return self.states[layer].index_select(0, positions.to(self.states.device)).to(self.device).float()

    def all_layers(self, positions: Tensor) -> Tensor:
        """h at these positions: (L, n, d_model), float32."""
        return self.states.index_select(1, positions.to(self.states.device)).to(self.device).float()

    def pooled(self, layer: int, rows: Tensor) -> Tensor:
        """(rows, d_model): the mean of h_l over each prompt's tokens."""
        positions, prompt = self.tokens(rows)
        return mean_by_prompt(self.layer(layer, positions), prompt.to(self.device))


def build(
    encoder: PromptEncoder,
    prompts: Sequence[str],
    *,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
    directory: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> ActivationCache:
    """Encode the distinct prompts once. `directory` holds the memory-mapped file, if one is needed."""
    distinct = tuple(dict.fromkeys(prompts))
    skipped = int(encoders.leads_with_bos(encoder.text_encoder))
    lengths = torch.tensor([len(ids) - skipped for ids in encoder.token_ids(distinct)])
    starts = torch.cat([torch.zeros(1, dtype=torch.long), torch.cumsum(lengths, 0)])
    layers, width = len(encoders.blocks(encoder.text_encoder)), encoders.d_model(encoder.text_encoder)
    dtype = next(encoder.text_encoder.parameters()).dtype
    if dtype == torch.float16:  # T5 in float16 has states in float32 that exceed it
        dtype = torch.float32
    states = _allocate((layers, int(starts[-1]), width), dtype, encoder.device, budget_bytes, directory)
    final = torch.empty((len(distinct), width), device=encoder.device)
    done = 0
    with recording_blocks(encoder.text_encoder) as recorded:
        for batch in encoder.batches(distinct):
            h = torch.stack(recorded)  # (L, B, T, d)
            recorded.clear()
            for i, row in enumerate(batch.rows):
                states[:, starts[row] : starts[row + 1]] = h[:, i, batch.real[i]].to(states.device)
                final[row] = batch.final[i, batch.real[i]].float().mean(0)
            done += len(batch.rows)
            on_progress(done, len(distinct))
    return ActivationCache(distinct, starts, states, final, encoder.device)


def _allocate(
    shape: tuple[int, int, int], dtype: torch.dtype, device: torch.device, budget_bytes: int, directory: Path | None
) -> Tensor:
    if prod(shape) * dtype.itemsize <= budget_bytes:
        return torch.empty(shape, dtype=dtype, device=device)
    with tempfile.NamedTemporaryFile(dir=directory, suffix=".activations") as file:  # unlinked at once; the mapping stays
        return torch.from_file(file.name, shared=True, size=prod(shape), dtype=dtype).view(shape)
