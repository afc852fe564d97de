"""The erasers of one request, hooked onto a text encoder inside a `with`.

At one place every v is computed from the same unmodified h, and h' = h - Σ γ v, for CLEAR erasers as one pair of matrix
products however many there are (`fused`). A deeper place sees what the shallower ones left. The sum is taken in the order
of digests, so that the order of the request never matters, not even in the last bit. Padding, a leading BOS (CLIP) and rows
that were not asked for are not touched.

The stack edits every forward inside the `with`: encode the negative prompt outside of it, as `Handle.negative_prompt` gives it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import isfinite
from typing import Any

from torch import nn

from erasers import encoders
from erasers.acting import Acting, Turn, Use
from erasers.edits import EmbeddingEdit, TokenEdit
from erasers.eraser import Eraser
from erasers.errors import ConfigError, StackError
from erasers.hooks import reading_real_tokens
from erasers.methods.base import STAGES, Stage

__all__ = ["Handle", "Use", "attach"]

_attached: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_attached_lock = threading.Lock()


class Handle:
    """What a stack did so far. `uses` may be read inside and after the `with`; it is in the stack's canonical order."""

    def __init__(self, acting: Sequence[Acting], turn: Turn) -> None:
        self._acting, self._turn = acting, turn
        self.forwards = 0

    def count(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the encoder."""
        self.forwards += not self._turn.variant

    def negative_prompt(self, text: str) -> str:
        """The negative prompt with what the stack's erasers append to it: `text` itself if there is none that does.

        Call it for the negative prompt of every prompt; an eraser that acts there has done nothing until then.
        """
        phrases = [text] if text.strip() else []
        for acting in self._acting:
            words = acting.eraser.negative_words() if acting.strength > 0 else ()
            acting.edited(len(words))
            phrases += words
        return ", ".join(phrases) if phrases else text

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(acting.use() for acting in self._acting)


@contextmanager
def attach(
    text_encoder: nn.Module,
    erasers: Sequence[Eraser],
    tokenizer: Any = None,
    *,
    strengths: Sequence[float | None] | None = None,
    fingerprint: str | None = None,
    rows: Sequence[int] | None = None,
) -> Iterator[Handle]:
    """Hook the erasers for the duration of the `with`.

    strengths: γ of each eraser in the order given, None for its own; 0 is the identity, bit for bit.
    tokenizer: with it the eraser must match encoder and tokenizer, without it the encoder's weights alone.
    fingerprint: `erasers.fingerprint(text_encoder, tokenizer)`, if known: spares reading all weights at each call.
    rows: edit only these rows of each batch; None edits all.

    The attention mask of each forward decides what padding is; without one every position is edited.
    Raises EncoderMismatch, HookTargetMissing, or StackError for erasers that cannot stand together.
    """
    turn = Turn()
    stack = _canonical(erasers, strengths, turn)
    for acting in stack:
        encoders.check_same(acting.eraser.config.encoder, text_encoder, tokenizer, fingerprint)
    handle = Handle(stack, turn)
    with ExitStack() as leaving:
        leaving.enter_context(_alone(text_encoder))
        real_tokens = leaving.enter_context(reading_real_tokens(text_encoder))
        for (stage, layer), group in _by_site(stack).items():
            if stage == "embeddings":
                edit = EmbeddingEdit(text_encoder, group, turn, rows)
                hook = text_encoder.register_forward_hook(edit, with_kwargs=True)
            elif stage in ("attention", "block"):
                site = encoders.block if stage == "block" else encoders.attention_projection
                hook = site(text_encoder, layer).register_forward_hook(TokenEdit(group, real_tokens, rows))
            else:
                continue  # the negative prompt, which `handle` edits
            leaving.callback(hook.remove)
        counter = text_encoder.register_forward_hook(handle.count)
        leaving.callback(counter.remove)
        yield handle


def _by_site(stack: Sequence[Acting]) -> dict[tuple[Stage, int], list[Acting]]:
    sites: dict[tuple[Stage, int], list[Acting]] = {}
    for acting in stack:
        sites.setdefault((acting.eraser.stage, acting.eraser.layer), []).append(acting)
    return sites


def _canonical(erasers: Sequence[Eraser], strengths: Sequence[float | None] | None, turn: Turn) -> list[Acting]:
    """By stage and layer as a prompt comes by, then by digest; refuses sets that mean two things at once."""
    if not erasers:
        raise StackError("no erasers given; without any, call the encoder as it is")
    if strengths is not None and len(strengths) != len(erasers):
        raise StackError(f"{len(strengths)} strengths for {len(erasers)} erasers; give one each, None for an eraser's own")
    chosen = [
        own.strength if own_or is None else float(own_or)
        for own, own_or in zip(erasers, strengths or [None] * len(erasers), strict=True)
    ]
    for eraser, strength in zip(erasers, chosen, strict=True):
        if not (isfinite(strength) and strength >= 0):
            raise ConfigError(f"strength of {eraser.concept!r} must be a finite number, 0 or more, got {strength!r}")
    for attribute in ("digest", "concept"):
        values = [getattr(eraser, attribute).casefold() for eraser in erasers]
        if repeated := {value for value in values if values.count(value) > 1}:
            raise StackError(f"{attribute} {', '.join(sorted(repeated))} is in the stack more than once; keep one")
    acting = [Acting(eraser, strength, turn) for eraser, strength in zip(erasers, chosen, strict=True)]
    return sorted(acting, key=lambda one: (_depth(one.eraser), one.eraser.digest))


def _depth(eraser: Eraser) -> tuple[bool, int, int]:
    """Blocks in their order, each after its own attention; then what acts behind them."""
    stage = STAGES.index(eraser.stage)
    return eraser.stage not in ("attention", "block"), eraser.layer, stage


@contextmanager
def _alone(text_encoder: nn.Module) -> Iterator[None]:
    """A second stack on the same encoder would read what the first one edited."""
    with _attached_lock:
        if text_encoder in _attached:
            raise StackError("this encoder has a stack attached already; attach all erasers at once, or leave the first `with`")
        _attached.add(text_encoder)
    try:
        yield
    finally:
        _attached.discard(text_encoder)
