"""The erasers of one request, hooked onto a text encoder inside a `with`.

At one layer every v is computed from the same unmodified h, and h' = h - Σ γ v, for CLEAR erasers as one pair of matrix
products however many there are (`fused`). A deeper layer sees what the shallower ones left. The sum is taken in the order
of digests, so that the order of the request never matters, not even in the last bit. Padding, a leading BOS (CLIP) and rows
that were not asked for are not touched.

The stack edits every forward inside the `with`: encode the negative prompt outside of it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders, fused
from erasers.eraser import Eraser
from erasers.errors import ConfigError, StackError
from erasers.hooks import RealTokens, reading_real_tokens

_attached: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_attached_lock = threading.Lock()


@dataclass(frozen=True)
class Use:
    """What one eraser did, over all forwards of one `with`."""

    concept: str
    digest: str
    layer: int
    strength: float
    tokens_edited: int
    """Real tokens whose hidden state was changed, summed over forwards."""
    score_before: float
    """The concept's score at that layer: for CLEAR Σ_i m_i f_i, in units of h; the maximum over real tokens and forwards."""
    score_after: float
    """The same after the whole stack acted at that layer."""
    gated: bool
    """The eraser has a gate, so that no edited token may mean a prompt without the concept."""


class Handle:
    """What a stack did so far. `uses` may be read inside and after the `with`; it is in the stack's canonical order."""

    def __init__(self, acting: Sequence[_Acting]) -> None:
        self._acting = acting
        self.forwards = 0

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(acting.use() for acting in self._acting)


@dataclass(eq=False)
class _Acting:
    """An eraser in a stack, and its tally."""

    eraser: Eraser
    strength: float
    tokens_edited: int = 0
    score_before: float | None = None
    score_after: float | None = None

    def use(self) -> Use:
        return Use(
            concept=self.eraser.concept,
            digest=self.eraser.digest,
            layer=self.eraser.layer,
            strength=self.strength,
            tokens_edited=self.tokens_edited,
            score_before=self.score_before or 0.0,
            score_after=self.score_after or 0.0,
            gated=self.eraser.config.gate is not None,
        )

    def gamma(self, score: Tensor, row: Tensor) -> Tensor:
        """(n,): the strength at each token, 0 where the gate stays closed for the token's prompt."""
        gate = self.eraser.config.gate
        opens = torch.ones_like(score) if gate is None else _opens(score, row, gate.threshold)
        return self.strength * opens


class _Together:
    """The erasers of a layer that work as one pair of matrix products."""

    def __init__(self, group: Sequence[_Acting]) -> None:
        self._group = group
        self._fused: fused.Fused | None = None  # built where the first hidden states are

    def _at(self, h: Tensor) -> fused.Fused:
        if self._fused is None:
            self._fused = fused.Fused([acting.eraser for acting in self._group], h.device)
        return self._fused

    def delta(self, h: Tensor, row: Tensor) -> Tensor | None:
        """Σ γ v for the tokens h (n, d_model), float32, of the prompts row (n,); None if nothing is to be done."""
        erasers = self._at(h)
        specific = erasers.specific(h)
        scores = erasers.scores(specific)
        gamma = self._gamma(scores, row)
        edited = ((scores > 0) & (gamma != 0)).sum(0).tolist()  # v is a sum of rows of W_dec weighed by m f, none negative
        for acting, highest, count in zip(self._group, scores.amax(0).tolist(), edited, strict=True):
            acting.score_before = _larger(acting.score_before, highest)
            acting.tokens_edited += count
        return erasers.delta(specific, gamma) if any(edited) else None

    def _gamma(self, scores: Tensor, row: Tensor) -> Tensor:
        """(n, E), or (1, E) where no gate can tell tokens apart."""
        if all(acting.eraser.config.gate is None for acting in self._group):
            return scores.new_tensor([[acting.strength for acting in self._group]])
        return torch.stack([acting.gamma(scores[:, i], row) for i, acting in enumerate(self._group)], dim=1)

    def look_back(self, h: Tensor) -> None:
        erasers = self._at(h)
        for acting, highest in zip(self._group, erasers.scores(erasers.specific(h)).amax(0).tolist(), strict=True):
            acting.score_after = _larger(acting.score_after, highest)


class _Alone:
    """An eraser of a method that has no fused form."""

    def __init__(self, acting: _Acting) -> None:
        self._acting = acting

    def delta(self, h: Tensor, row: Tensor) -> Tensor | None:
        v, score = self._acting.eraser.edit(h)
        self._acting.score_before = _larger(self._acting.score_before, float(score.max()))
        if self._acting.strength == 0:
            return None
        delta = self._acting.gamma(score, row)[:, None] * v
        self._acting.tokens_edited += int((delta != 0).any(1).sum())
        return delta

    def look_back(self, h: Tensor) -> None:
        self._acting.score_after = _larger(self._acting.score_after, float(self._acting.eraser.edit(h).score.max()))


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
    stack = _canonical(erasers, strengths)
    for acting in stack:
        encoders.check_same(acting.eraser.config.encoder, text_encoder, tokenizer, fingerprint)
    by_layer: dict[int, list[_Acting]] = {}
    for acting in stack:
        by_layer.setdefault(acting.eraser.layer, []).append(acting)
    handle = Handle(stack)
    with ExitStack() as leaving:
        leaving.enter_context(_alone(text_encoder))
        real_tokens = leaving.enter_context(reading_real_tokens(text_encoder))
        for layer, group in by_layer.items():
            edit = _BlockEdit(group, real_tokens, rows)
            hook = encoders.block(text_encoder, layer).register_forward_hook(edit)
            leaving.callback(hook.remove)
        counter = text_encoder.register_forward_hook(_counting(handle))
        leaving.callback(counter.remove)
        yield handle


class _BlockEdit:
    """Forward hook of one block: h' = h - Σ γ v, all v from the same h."""  # Eq. 7, METHODS: serving

    def __init__(self, group: Sequence[_Acting], real_tokens: RealTokens, rows: Sequence[int] | None) -> None:
        together = [acting for acting in group if acting.eraser.method == fused.METHOD]
        self._parts: list[_Together | _Alone] = [_Alone(acting) for acting in group if acting not in together]
        if together:
            self._parts.append(_Together(together))
        self._real_tokens, self._rows = real_tokens, rows

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        h = encoders.hidden(output)  # (B, T, d)
        chosen = self._chosen(h)
        tokens = h[chosen].float()  # (n, d)
        if not len(tokens):
            return output
        row = chosen.nonzero()[:, 0]
        deltas = [delta for part in self._parts if (delta := part.delta(tokens, row)) is not None]
        if deltas:
            edited = (tokens - torch.stack(deltas).sum(0)).to(h.dtype)
            h = h.clone()
            h[chosen] = edited
            tokens = edited.float()
        for part in self._parts:
            part.look_back(tokens)
        return encoders.with_hidden(output, h)

    def _chosen(self, h: Tensor) -> Tensor:
        """(B, T), bool: real tokens of the rows to be edited."""
        real = self._real_tokens.of(h)
        if self._rows is None:
            return real
        if any(not 0 <= row < len(real) for row in self._rows):
            raise StackError(f"rows {list(self._rows)} of a batch of {len(real)}")
        wanted = torch.zeros(len(real), dtype=torch.bool, device=h.device)
        wanted[list(self._rows)] = True
        return real & wanted[:, None]


def _canonical(erasers: Sequence[Eraser], strengths: Sequence[float | None] | None) -> list[_Acting]:
    """By layer, then digest; refuses sets that mean two things at once."""
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
    acting = [_Acting(eraser, strength) for eraser, strength in zip(erasers, chosen, strict=True)]
    return sorted(acting, key=lambda one: (one.eraser.layer, one.eraser.digest))


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


def _counting(handle: Handle) -> Any:
    def count(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        handle.forwards += 1

    return count


def _opens(score: Tensor, row: Tensor, threshold: float) -> Tensor:
    """(n,), 0 or 1: whether the gate opens for the prompt of each token."""
    highest = score.new_full((int(row.max()) + 1,), -torch.inf).scatter_reduce_(0, row, score, "amax")
    return (highest >= threshold)[row].to(score.dtype)


def _larger(best: float | None, value: float) -> float:
    return value if best is None else max(best, value)
