"""Hooks that live inside a `with` and leave in its `finally`.

Two of them only read: one which positions of the running forward hold real tokens, the other what every block returns.
The hooks that edit are in `erasers.edits`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders
from erasers.errors import EncoderError


@dataclass(frozen=True)
class Forward:
    """A forward of the text encoder in progress: what it was called with, and which hooks have run."""

    ids: Tensor | None
    mask: Tensor | None
    shape: torch.Size | None
    """(B, T); None if the call does not show it."""
    rows_read: dict[object, Tensor] = field(default_factory=dict)
    """For each hook that has run, the rows of the batch in which it read real tokens: (B,), bool."""


class RealTokens:
    """Which positions of the forward in progress hold real tokens, as its caller's attention mask says.

    Without a mask every position counts: a model that calls its encoder so (CogVideoX, Flux) attends to the padding.
    """

    def __init__(self, text_encoder: nn.Module) -> None:
        # The class's own: what replaces `forward` on an instance (accelerate's offloading) may hide the names.
        self._signature = inspect.signature(type(text_encoder).forward)
        self._text_encoder = text_encoder
        self._running: list[Forward] = []
        self._nested = False

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the text encoder. Raises EncoderError for a second forward at the same time."""
        if self._running and not self._nested:
            raise EncoderError(
                f"{type(module).__name__} was called while a forward with erasers attached was running; "
                "give each thread its own encoder"
            )
        inputs = _by_name(self._signature, module, args, kwargs)
        ids, mask, embeds = (inputs.get(name) for name in ("input_ids", "attention_mask", "inputs_embeds"))
        whole = ids if ids is not None else embeds
        self._running.append(Forward(ids, mask, None if whole is None else whole.shape[:2]))

    def end(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the text encoder."""
        if self._running:
            self._running.pop()

    @contextmanager
    def nested(self) -> Iterator[None]:
        """A hook of the forward in progress may call the encoder itself."""
        self._nested = True
        try:
            yield
        finally:
            self._nested = False

    def of(self, h: Tensor) -> Tensor:
        """(B, T), bool, on the device of h (B, T, d). Raises EncoderError outside the encoder's forward."""
        forward = self.forward
        mask = forward.mask
        if mask is None:
            mask = torch.ones(forward.shape or h.shape[:2], device=h.device)
        if mask.shape != h.shape[:2]:
            raise EncoderError(
                f"attention mask of shape {tuple(mask.shape)} for hidden states {tuple(h.shape)}; it must be (B, T)"
            )
        return real_tokens_of(self._text_encoder, mask.to(h.device))

    def prompts(self, h: Tensor) -> Prompts:
        """The prompts of the forward in progress, for hidden states h (B, T, d). Raises EncoderError without token ids."""
        forward = self.forward
        ids = forward.ids
        if ids is None:
            name = type(self._text_encoder).__name__
            raise EncoderError(f"{name} was called without input_ids: an eraser reads the prompt's tokens there")
        if ids.shape != h.shape[:2]:
            raise EncoderError(f"token ids of shape {tuple(ids.shape)} for hidden states {tuple(h.shape)}; they must be (B, T)")
        if forward.mask is not None:
            return Prompts(ids, forward.mask, self.of(h))
        padding: Any = self._text_encoder.config.pad_token_id  # type: ignore[union-attr]
        written = torch.ones_like(ids) if padding is None else (ids != padding).long()
        return Prompts(ids, torch.ones_like(ids), real_tokens_of(self._text_encoder, written.to(h.device)))

    @property
    def forward(self) -> Forward:
        """The forward in progress. Raises EncoderError if there is none."""
        if not self._running:
            raise EncoderError(
                f"blocks of {type(self._text_encoder).__name__} ran outside its forward, so that its attention mask is unknown; "
                "call the encoder itself"
            )
        return self._running[-1]


@dataclass(frozen=True)
class Prompts:
    """A batch of tokenized prompts. All (B, T)."""

    ids: Tensor
    attended: Tensor
    """The attention mask, ones if there was none."""
    real: Tensor
    """bool: tokens of the prompt itself, also where the model attends to its padding."""


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
        with running_eagerly():
            yield recorded
    finally:
        for handle in handles:
            handle.remove()


class _EagerMode:
    """How many `with`s want compiled code to run as plain Python; the first switches it on, the last off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._stance: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._wanted:
                self._stance = torch.compiler.set_stance("force_eager")  # acts at once
            self._wanted += 1

    def leave(self) -> None:
        with self._lock:
            self._wanted -= 1
            if not self._wanted:
                self._stance.__exit__(None, None, None)


_eager_mode = _EagerMode()


@contextmanager
def running_eagerly() -> Iterator[None]:
    """Run compiled functions and modules as plain Python, in every thread.

    A graph that `torch.compile` made does not call hooks that were added later. A graph compiled here would keep ours.
    """
    _eager_mode.enter()
    try:
        yield
    finally:
        _eager_mode.leave()


def _by_name(signature: inspect.Signature, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by their names, also those that `forward` takes as **kwargs."""
    found = signature.bind_partial(module, *args, **kwargs).arguments
    more = [parameter.name for parameter in signature.parameters.values() if parameter.kind is parameter.VAR_KEYWORD]
    return {**found, **{key: value for name in more for key, value in found.get(name, {}).items()}}
