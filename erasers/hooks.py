"""Hooks that live inside a `with` and leave in its `finally`.

Two of them: one reads which positions of the running forward hold real tokens, the other copies what every block returns.
The hooks that edit are in `erasers.edits`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders
from erasers.errors import EncoderError


class RealTokens:
    """Which positions of the forward in progress hold real tokens, as its caller's attention mask says.

    Without a mask every position counts: a model that calls its encoder so (CogVideoX, Flux) attends to the padding.
    """

    def __init__(self, text_encoder: nn.Module) -> None:
        self._signature = inspect.signature(text_encoder.forward)
        self._text_encoder = text_encoder
        self._running = False
        self._attention_mask: Tensor | None = None

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the text encoder."""
        self._attention_mask = self._signature.bind_partial(*args, **kwargs).arguments.get("attention_mask")
        self._running = True

    def end(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the text encoder."""
        self._running = False
        self._attention_mask = None

    def of(self, h: Tensor) -> Tensor:
        """(B, T), bool, on the device of h (B, T, d)."""
        if not self._running:
            raise EncoderError(
                f"blocks of {type(self._text_encoder).__name__} ran outside its forward, so that its attention mask is unknown; "
                "call the encoder itself"
            )
        mask = self._attention_mask
        if mask is None:
            mask = torch.ones(h.shape[:2], device=h.device)
        if mask.shape != h.shape[:2]:
            raise EncoderError(
                f"attention mask of shape {tuple(mask.shape)} for hidden states {tuple(h.shape)}; it must be (B, T)"
            )
        return real_tokens_of(self._text_encoder, mask.to(h.device))


def real_tokens_of(text_encoder: nn.Module, mask: Tensor) -> Tensor:
    """(B, T), bool, from an attention mask: end-of-sequence in, padding and a leading BOS out."""
    real = mask > 0
    if encoders.leads_with_bos(text_encoder):
        real[:, 0] = False
    return real


@contextmanager
def reading_real_tokens(text_encoder: nn.Module) -> Iterator[RealTokens]:
    real_tokens = RealTokens(text_encoder)
    handles = [
        text_encoder.register_forward_pre_hook(real_tokens.begin, with_kwargs=True),
        text_encoder.register_forward_hook(real_tokens.end, always_call=True),
    ]
    try:
        yield real_tokens
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recording_blocks(text_encoder: nn.Module) -> Iterator[list[Tensor]]:
    """The list fills with h_l (B, T, d), l = 0 … L-1, on every forward; empty it between two."""
    recorded: list[Tensor] = []

    def record(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        recorded.append(encoders.hidden(output).detach())

    handles = [module.register_forward_hook(record) for module in encoders.blocks(text_encoder)]
    try:
        yield recorded
    finally:
        for handle in handles:
            handle.remove()
