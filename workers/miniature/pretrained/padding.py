"""How training reads captions: codes under noise, and cross-attention in which one zero stands for all the padding."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from workers.miniature.pretrained.states import MAX_TOKENS, States

PROMPT_TOKENS = 128
"""Tokens that the denoiser is given: those of the prompt, then zeros. It attends to all."""

TEXT_NOISE = 1.5
"""Training adds noise of up to so many standard deviations to codes. It is what carries a word that was never met to the
picture of its synonyms: a reader of noisy states recognises more held-out words than one of clean states (LOG.md)."""


class PaddingOnce:
    """Processor of a `WanAttention` that reads MAX_TOKENS + 1 tokens as if zeros followed up to PROMPT_TOKENS.

    The last token, always a zero, counts for all of them. The result is that of the stock processor on the padded text, at a
    quarter of the cost.
    """

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        query = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        key = attn.norm_k(attn.to_k(encoder_hidden_states)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        value = attn.to_v(encoder_hidden_states).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        counts = query.new_zeros(1, 1, 1, key.shape[2])
        counts[..., -1] = math.log(PROMPT_TOKENS - MAX_TOKENS)
        mask = counts.expand(len(query), attn.heads, query.shape[2], -1)
        out = F.scaled_dot_product_attention(query, key, value.to(query.dtype), attn_mask=mask)
        added: Tensor = attn.to_out[0](out.transpose(1, 2).flatten(2).type_as(hidden_states))
        return added


def noisy_codes(known: States, captions: Tensor, generator: torch.Generator) -> Tensor:
    """Codes (B, MAX_TOKENS + 1, COMPONENTS) of the captions with these numbers (B,); padding stays as it is."""
    device = known.codes.device
    codes = known.codes[captions]
    real = torch.arange(codes.shape[1], device=device) < known.lengths[captions][:, None]
    strength = TEXT_NOISE * torch.rand(len(captions), 1, 1, generator=generator, device=device) * real[..., None]
    return codes + strength * torch.randn(codes.shape, generator=generator, device=device)
