"""Prompts through a text encoder in batches of like length, real tokens only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from erasers import encoders, offload
from erasers.choices import Padding
from erasers.errors import ConfigError, PromptTooLong
from erasers.hooks import real_tokens_of, running_eagerly


class EncodedBatch(NamedTuple):
    rows: list[int]
    """Positions of these prompts in the sequence given."""
    final: Tensor
    """(B, T, d_model), after the final layer norm."""
    real: Tensor
    """(B, T), bool: real tokens, EOS in, padding and a leading BOS out."""


class FlatStates(NamedTuple):
    """Real tokens of many prompts, one after another."""

    tokens: Tensor
    """(N, d_model), float32"""
    prompt: Tensor
    """(N,), which prompt a token is of"""

    def pooled(self) -> Tensor:
        """(prompts, d_model): the mean over each prompt's tokens."""
        return mean_by_prompt(self.tokens, self.prompt)


@dataclass(frozen=True)
class PromptEncoder:
    text_encoder: nn.Module
    tokenizer: Any
    max_length: int | None = None
    padding: Padding = "masked"
    batch_size: int = 64

    def __post_init__(self) -> None:
        if self.padding == "attended" and self.max_length is None:
            raise ConfigError("padding='attended' needs max_length: the length that the model's pipeline pads prompts to")

    @property
    def device(self) -> torch.device:
        return offload.device(self.text_encoder)

    def token_ids(self, prompts: Sequence[str]) -> list[list[int]]:
        """Nothing is cut off: a prompt with more than `max_length` tokens raises PromptTooLong."""
        ids: list[list[int]] = self.tokenizer(list(prompts), add_special_tokens=True).input_ids
        for prompt, tokens in zip(prompts, ids, strict=True):
            if self.max_length is not None and len(tokens) > self.max_length:
                raise PromptTooLong(f"{len(tokens)} tokens, at most {self.max_length} fit: {prompt!r}; shorten it")
        return ids

    def fits(self, prompt: str) -> bool:
        return self.max_length is None or len(self.tokenizer(prompt, add_special_tokens=True).input_ids) <= self.max_length

    @torch.no_grad()
    def batches(self, prompts: Sequence[str]) -> Iterator[EncodedBatch]:
        """Every prompt once, the shortest first."""
        ids = self.token_ids(prompts)
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self._encode(rows, [ids[row] for row in rows])

    def encode(self, prompts: Sequence[str]) -> EncodedBatch:
        """All at once, with a gradient where the encoder, or a hook on it, has one."""
        return self._encode(list(range(len(prompts))), self.token_ids(prompts))

    def final_states(self, prompts: Sequence[str]) -> FlatStates:
        """Token states after the final layer norm, in the order of `prompts`: what the denoiser is given."""
        states: list[Tensor] = [torch.empty(0)] * len(prompts)
        for batch in self.batches(prompts):
            for row, h, real in zip(batch.rows, batch.final.float(), batch.real, strict=True):
                states[row] = h[real]
        lengths = torch.tensor([len(h) for h in states], device=self.device)
        return FlatStates(torch.cat(states), torch.repeat_interleave(lengths))

    def _encode(self, rows: list[int], ids: list[list[int]]) -> EncodedBatch:
        width = max(map(len, ids)) if self.padding == "masked" or self.max_length is None else self.max_length
        input_ids = torch.full((len(ids), width), getattr(self.tokenizer, "pad_token_id", None) or 0)
        mask = torch.zeros((len(ids), width), dtype=torch.long)
        for i, tokens in enumerate(ids):
            input_ids[i, : len(tokens)] = torch.tensor(tokens)
            mask[i, : len(tokens)] = 1
        input_ids, mask = input_ids.to(self.device), mask.to(self.device)
        output = self.text_encoder(input_ids=input_ids, attention_mask=mask if self.padding == "masked" else None)
        return EncodedBatch(rows, encoders.embeddings(output), real_tokens_of(self.text_encoder, mask))


@contextmanager
def evaluating(text_encoder: nn.Module) -> Iterator[None]:
    """Dropout off, and compiled code run as Python, so that hooks are called; back to how it was afterwards."""
    was_training = text_encoder.training
    text_encoder.eval()
    try:
        with running_eagerly():
            yield
    finally:
        text_encoder.train(was_training)


def mean_by_prompt(values: Tensor, prompt: Tensor) -> Tensor:
    """values (N, …) averaged over the tokens of each prompt: (prompts, …)."""
    counts = torch.bincount(prompt).to(values.dtype)
    sums = values.new_zeros((len(counts), *values.shape[1:])).index_add_(0, prompt, values)
    return sums / counts.reshape(-1, *[1] * (values.dim() - 1))


def max_by_prompt(values: Tensor, prompt: Tensor) -> Tensor:
    """The maximum of values (N, …) over the tokens of each prompt: (prompts, …)."""
    index = prompt.reshape(-1, *[1] * (values.dim() - 1)).expand_as(values)
    empty = values.new_full((int(prompt.max()) + 1, *values.shape[1:]), -torch.inf)
    return empty.scatter_reduce_(0, index, values, "amax")
