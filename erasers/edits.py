"""The forward hooks that edit: one for a block's output or its attention's, one for the finished embeddings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders, fused
from erasers.acting import Acting, Turn, any_gate
from erasers.errors import EncoderError, StackError
from erasers.hooks import RealTokens, real_tokens_of

VARIANT_ROWS = 32
"""Variants of a prompt that are encoded at once."""


class _Together:
    """The erasers of a layer that work as one pair of matrix products."""

    def __init__(self, group: Sequence[Acting]) -> None:
        self._group = group
        self._fused: fused.Fused | None = None  # built where the first hidden states are

    def _at(self, h: Tensor) -> fused.Fused:
        if self._fused is None:
            self._fused = fused.Fused([acting.eraser for acting in self._group], h.device)
        return self._fused

    def delta(self, h: Tensor, _x: Tensor | None, row: Tensor) -> Tensor | None:
        """Σ γ v for the tokens h (n, d_model), float32, of the prompts row (n,); None if nothing is to be done."""
        erasers = self._at(h)
        specific = erasers.specific(h)
        scores = erasers.scores(specific)
        gamma = self._gamma(scores, row)
        edited = ((scores > 0) & (gamma != 0)).sum(0).tolist()  # v is a sum of directions, none with a weight below 0
        for acting, highest, count in zip(self._group, scores.amax(0).tolist(), edited, strict=True):
            acting.found(highest)
            acting.edited(count)
        return erasers.delta(specific, scores, gamma) if any(edited) else None

    def _gamma(self, scores: Tensor, row: Tensor) -> Tensor:
        """(n, E), or (1, E) where no gate can tell tokens apart."""
        if not any_gate(self._group):
            return scores.new_tensor([[acting.strength for acting in self._group]])
        return torch.stack([acting.gamma(scores[:, i], row) for i, acting in enumerate(self._group)], dim=1)

    def look_back(self, h: Tensor, _x: Tensor | None) -> None:
        erasers = self._at(h)
        for acting, highest in zip(self._group, erasers.scores(erasers.specific(h)).amax(0).tolist(), strict=True):
            acting.left(highest)


class _Alone:
    """An eraser of a method that has no fused form."""

    def __init__(self, acting: Acting) -> None:
        self._acting = acting

    def delta(self, h: Tensor, x: Tensor | None, row: Tensor) -> Tensor | None:
        v, score = self._acting.eraser.edit(h, x)
        self._acting.found(float(score.max()))
        if self._acting.strength == 0:
            return None
        delta = self._acting.gamma(score, row)[:, None] * v
        self._acting.edited(int((delta != 0).any(1).sum()))
        return delta

    def look_back(self, h: Tensor, x: Tensor | None) -> None:
        self._acting.left(float(self._acting.eraser.edit(h, x).score.max()))


class TokenEdit:
    """h' = h - Σ γ v, all v from the same h."""  # Eq. 7, METHODS: serving

    def __init__(self, group: Sequence[Acting], real_tokens: RealTokens, rows: Sequence[int] | None) -> None:
        together = [acting for acting in group if acting.eraser.method == fused.METHOD]
        self._parts: list[_Together | _Alone] = [_Alone(acting) for acting in group if acting not in together]
        if together:
            self._parts.append(_Together(together))
        self._reads_input = any(acting.eraser.stage == "attention" for acting in group)
        self._real_tokens, self._rows = real_tokens, rows

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        h = encoders.hidden(output)  # (B, T, d)
        chosen = rows_alone(self._real_tokens.of(h), self._rows)
        tokens = h[chosen].float()  # (n, d)
        if not len(tokens):
            return output
        x = args[0][chosen].float() if self._reads_input else None  # (n, d_inner)
        row = chosen.nonzero()[:, 0]
        deltas = [delta for part in self._parts if (delta := part.delta(tokens, x, row)) is not None]
        if deltas:
            edited = (tokens - torch.stack(deltas).sum(0)).to(h.dtype)
            h = h.clone()
            h[chosen] = edited
            tokens = edited.float()
        for part in self._parts:
            part.look_back(tokens, x)
        return encoders.with_hidden(output, h)


class EmbeddingEdit:
    """Forward hook of the encoder itself: edits what it returns, prompt by prompt, all v from the same embeddings."""

    def __init__(self, text_encoder: nn.Module, group: Sequence[Acting], turn: Turn, rows: Sequence[int] | None) -> None:
        self._signature = inspect.signature(text_encoder.forward)
        self._group, self._turn, self._rows = group, turn, rows

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        if self._turn.variant:
            return output
        inputs = self._signature.bind_partial(*args, **kwargs).arguments
        ids, mask = inputs.get("input_ids"), inputs.get("attention_mask")
        if ids is None:
            raise EncoderError(f"{type(module).__name__} was called without input_ids: an eraser reads the prompt's tokens there")
        embeddings: Tensor = output[0]  # (B, T, d)
        real = rows_alone(_prompt_tokens(module, ids, mask), self._rows)
        edited = embeddings.clone()
        attended = torch.ones_like(ids) if mask is None else mask
        for row in real.any(1).nonzero()[:, 0].tolist():
            variants = _Variants(module, ids[row], attended[row], real[row], self._turn)
            edited[row, real[row]] = self._edited(embeddings[row, real[row]], variants)
        return encoders.with_embeddings(output, edited)

    def _edited(self, embeddings: Tensor, without: _Variants) -> Tensor:
        """Those of one prompt's real tokens, (n, d), in their dtype."""
        e, deltas = embeddings.float(), []
        for acting in self._group:
            acting.found(float(acting.eraser.score(e).max()))
            if acting.strength == 0:
                continue
            delta = acting.strength * acting.eraser.edit_embeddings(e, without)
            acting.edited(int((delta != 0).any(1).sum()))
            deltas.append(delta)
        edited = (e - torch.stack(deltas).sum(0)).to(embeddings.dtype) if deltas else embeddings
        for acting in self._group:
            acting.left(float(acting.eraser.score(edited.float()).max()))
        return edited


class _Variants:
    """A prompt encoded once for each of its tokens, with that token hidden. Erasers that ask for it share it."""

    def __init__(self, text_encoder: nn.Module, ids: Tensor, mask: Tensor, real: Tensor, turn: Turn) -> None:
        """Of one prompt: ids, attention mask and real tokens (T,)."""
        self._encode: Callable[..., Any] = text_encoder
        self._ids, self._mask, self._real, self._turn = ids, mask, real, turn
        self._made: Tensor | None = None

    def __call__(self) -> Tensor:
        """(n, n, d_model), float32."""
        if self._made is None:
            hidden = self._real.nonzero()[:, 0]
            masks = self._mask.repeat(len(hidden), 1)
            masks[torch.arange(len(hidden), device=masks.device), hidden] = 0
            self._turn.variant = True
            try:
                parts = [
                    self._encode(input_ids=self._ids.expand(len(part), -1), attention_mask=part)[0][:, self._real].float()
                    for part in masks.split(VARIANT_ROWS)
                ]
            finally:
                self._turn.variant = False
            self._made = torch.cat(parts)
        return self._made


def _prompt_tokens(text_encoder: nn.Module, ids: Tensor, mask: Tensor | None) -> Tensor:
    """(B, T), bool: tokens of the prompt itself, also where the model attends to its padding."""
    padding: Any = text_encoder.config.pad_token_id  # type: ignore[union-attr]
    return real_tokens_of(text_encoder, ids != padding if mask is None else mask)


def rows_alone(real: Tensor, rows: Sequence[int] | None) -> Tensor:
    """(B, T), bool: `real` of these rows of the batch, of all if None."""
    if rows is None:
        return real
    if any(not 0 <= row < len(real) for row in rows):
        raise StackError(f"rows {list(rows)} of a batch of {len(real)}")
    wanted = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    wanted[list(rows)] = True
    return real & wanted[:, None]
