"""Read how strongly concepts are present in what a text encoder returns, with or without erasers attached.

    with erasers.read_presence(text_encoder, [eraser]) as before:
        encode(prompt)
    with erasers.attach(text_encoder, [eraser]), erasers.read_presence(text_encoder, [eraser]) as after:
        encode(prompt)
    outcome = erasers.outcome(eraser, before, after, named=eraser.named_in(prompt) is not None)

Reading changes nothing: a hook looks at the encoder's output. `after` sees the whole stack, so that it also sees what another
eraser of it puts back. Only the embeddings of the prompt's own tokens are read.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders
from erasers.eraser import Eraser
from erasers.errors import EncoderError, StackError
from erasers.hooks import real_tokens_of, running_eagerly
from erasers.presence import token_scores
from erasers.verdict import VERDICTS, Verdict, verdict_of


@dataclass(frozen=True)
class Outcome:
    """How strongly a concept was present in one prompt before and after a stack acted. All None where it cannot be read."""

    concept: str
    digest: str
    score_before: float | None
    """0 is the mean of prompts without the concept, 1 that of prompts with it; without any eraser."""
    score_after: float | None
    """The same with the whole stack."""
    absent_below: float | None
    """Up to this score the concept counts as absent."""
    verdict: Verdict | None


class Reading:
    """The scores of every prompt that was encoded, in order: one for each row with a real token."""

    def __init__(self, text_encoder: nn.Module, erasers: Sequence[Eraser]) -> None:
        self._signature = inspect.signature(text_encoder.forward)
        readable = [(eraser, eraser.config.presence) for eraser in erasers]
        self._readers = [(eraser, presence) for eraser, presence in readable if presence is not None]
        self._scores: dict[str, list[float]] = {eraser.digest: [] for eraser, _ in self._readers}
        self._depth = 0

    def of(self, eraser: Eraser) -> tuple[float, ...]:
        """Raises StackError for an eraser that was not read."""
        if eraser.digest not in self._scores:
            raise StackError(f"{eraser!r} was not read: it has no reference, or was not given to `read_presence`")
        return tuple(self._scores[eraser.digest])

    def begin(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Forward pre-hook of the encoder."""
        self._depth += 1

    @torch.no_grad()
    def end(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        """Forward hook of the encoder. An encoding within another one is an eraser's own (SAFREE's variants of a prompt)."""
        self._depth -= 1
        if self._depth or output is None:  # None: the forward has raised
            return
        inputs = self._signature.bind_partial(*args, **kwargs).arguments
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        embeddings = encoders.embeddings(output)  # (B, T, d)
        real = _real_tokens(module, ids, mask)
        for e, chosen in zip(embeddings, real.to(embeddings.device), strict=True):
            if bool(chosen.any()):
                self._read(e[chosen])

    def _read(self, e: Tensor) -> None:
        for eraser, presence in self._readers:
            self._scores[eraser.digest].append(float(token_scores(eraser.tensors, presence, e).max()))


@contextmanager
def read_presence(text_encoder: nn.Module, erasers: Sequence[Eraser]) -> Iterator[Reading]:
    """Read each forward inside the `with`. Enter it after `attach`, so that it reads what `attach` leaves.

    Erasers without a reference (`config.presence` is None) are not read. Raises EncoderError, at a forward, where the
    encoder is called without input_ids and without an attention mask.
    """
    reading = Reading(text_encoder, erasers)
    handles = [
        text_encoder.register_forward_pre_hook(reading.begin, with_kwargs=True),
        text_encoder.register_forward_hook(reading.end, with_kwargs=True, always_call=True),
    ]
    try:
        with running_eagerly():  # compiled code calls no hooks
            yield reading
    finally:
        for handle in handles:
            handle.remove()


def outcome(eraser: Eraser, before: Reading, after: Reading, *, named: bool = False) -> Outcome:
    """Of the prompts that were read: of several the worst verdict, and of these the highest score after.

    named: the prompts name the concept, so that they contain it whatever they score.
    Raises StackError where `before` and `after` are not of the same number of prompts, or of none.
    """
    presence = eraser.config.presence
    if presence is None:
        return Outcome(eraser.concept, eraser.digest, None, None, None, None)
    first, last = before.of(eraser), after.of(eraser)
    if not first or len(first) != len(last):
        raise StackError(f"{len(first)} prompts were read before and {len(last)} after: encode the same prompts in both")

    def verdict(scores: tuple[float, float]) -> Verdict:
        return verdict_of(*scores, absent_below=presence.absent_below, named=named)

    worst = max(zip(first, last, strict=True), key=lambda scores: (VERDICTS.index(verdict(scores)), scores[1]))
    return Outcome(eraser.concept, eraser.digest, *worst, presence.absent_below, verdict(worst))


def _real_tokens(text_encoder: nn.Module, ids: Tensor | None, mask: Tensor | None) -> Tensor:
    """(B, T), bool: tokens of the prompt itself, also where the model attends to its padding."""
    if mask is None:
        if ids is None:
            raise EncoderError(f"{type(text_encoder).__name__} was called without input_ids and without an attention mask")
        padding: Any = text_encoder.config.pad_token_id  # type: ignore[union-attr]
        mask = ids != padding
    return real_tokens_of(text_encoder, mask)
