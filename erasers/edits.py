"""The forward hooks that edit: one for a block's output or its attention's, one for the final embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders, fused
from erasers.acting import Acting, Turn, any_gate
from erasers.errors import StackError
from erasers.hooks import RealTokens
from erasers.proof import Proof, Site

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

    def __init__(
        self, site: Site, group: Sequence[Acting], real_tokens: RealTokens, rows: Sequence[int] | None, proof: Proof
    ) -> None:
        together = [acting for acting in group if acting.eraser.method == fused.METHOD]
        self._parts: list[_Together | _Alone] = [_Alone(acting) for acting in group if acting not in together]
        if together:
            self._parts.append(_Together(together))
        self._reads_input = any(acting.eraser.stage == "attention" for acting in group)
        self._site, self._real_tokens, self._rows, self._proof = site, real_tokens, rows, proof

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        h = encoders.hidden(output)  # (B, T, d)
        chosen = rows_alone(self._real_tokens.of(h), self._rows)
        self._proof.read(self._site, chosen)
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
    """Forward hook of the module that makes the embeddings: edits them prompt by prompt, all v from the same embeddings.

    Pooled outputs and projections, which the encoder makes of the embeddings, are made of the edited ones.
    """

    def __init__(
        self,
        text_encoder: nn.Module,
        site: Site,
        group: Sequence[Acting],
        real_tokens: RealTokens,
        rows: Sequence[int] | None,
        proof: Proof,
        turn: Turn,
    ) -> None:
        self._encoder, self._site, self._group = text_encoder, site, group
        self._real_tokens, self._rows, self._proof, self._turn = real_tokens, rows, proof, turn
        self._before_norm: tuple[Tensor, Tensor] | None = None
        """The final norm's input, as it was and moved so that the norm makes the edited embeddings of it."""

    @torch.no_grad()
    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._turn.variant:
            return output
        embeddings = encoders.hidden(output)  # (B, T, d)
        prompts = self._real_tokens.prompts(embeddings)
        real = rows_alone(prompts.real, self._rows)
        self._proof.read(self._site, real)
        pooled = encoders.pooled_positions(self._encoder, prompts.ids)
        edited = embeddings.clone()
        for row in real.any(1).nonzero()[:, 0].tolist():
            variants = _Variants(self._encoder, prompts.ids[row], prompts.attended[row], real[row], self._real_tokens, self._turn)
            summary = None if pooled is None else real[row].nonzero()[:, 0] == pooled[row]
            edited[row, real[row]] = self._edited(embeddings[row, real[row]], variants, summary)
        if isinstance(module, nn.LayerNorm):
            self._before_norm = args[0], encoders.before_norm(module, args[0], edited - embeddings)
        return encoders.with_hidden(output, edited)

    def edit_recorded(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Forward hook of the encoder. CLIP records its last hidden state before the final norm: move it as the norm's output."""
        if self._turn.variant or self._before_norm is None:
            return output
        (read, moved), self._before_norm = self._before_norm, None
        return encoders.with_last_recorded(output, read, moved)

    def _edited(self, embeddings: Tensor, without: _Variants, summary: Tensor | None) -> Tensor:
        """Those of one prompt's real tokens, (n, d), in their dtype. `summary` (n,), bool, is the one that sums up the prompt."""
        e, deltas = embeddings.float(), []
        for acting in self._group:
            acting.found(float(acting.eraser.score(e).max()))
            if acting.strength == 0:
                continue
            v = acting.eraser.edit_embeddings(e, without)
            if summary is not None and bool(v.any()):
                v = torch.where((summary & ~v.any(1))[:, None], acting.eraser.edit_summary(e), v)
            delta = acting.strength * v
            acting.edited(int((delta != 0).any(1).sum()))
            deltas.append(delta)
        edited = (e - torch.stack(deltas).sum(0)).to(embeddings.dtype) if deltas else embeddings
        for acting in self._group:
            acting.left(float(acting.eraser.score(edited.float()).max()))
        return edited


class _Variants:
    """A prompt encoded once for each of its tokens, with that token hidden. Erasers that ask for it share it."""

    def __init__(
        self, text_encoder: nn.Module, ids: Tensor, mask: Tensor, real: Tensor, real_tokens: RealTokens, turn: Turn
    ) -> None:
        """Of one prompt: ids, attention mask and real tokens (T,)."""
        self._encode: Callable[..., Any] = text_encoder
        self._ids, self._mask, self._real, self._real_tokens, self._turn = ids, mask, real, real_tokens, turn
        self._made: Tensor | None = None

    def __call__(self) -> Tensor:
        """(n, n, d_model), float32."""
        if self._made is None:
            hidden = self._real.nonzero()[:, 0]
            masks = self._mask.repeat(len(hidden), 1)
            masks[torch.arange(len(hidden), device=masks.device), hidden] = 0
            self._turn.variant = True
            try:
                with self._real_tokens.nested():
                    parts = [self._embeddings(part) for part in masks.split(VARIANT_ROWS)]
            finally:
                self._turn.variant = False
            self._made = torch.cat(parts)
        return self._made

    def _embeddings(self, masks: Tensor) -> Tensor:
        output = self._encode(input_ids=self._ids.expand(len(masks), -1), attention_mask=masks)
        return encoders.embeddings(output)[:, self._real].float()


def rows_alone(real: Tensor, rows: Sequence[int] | None) -> Tensor:
    """(B, T), bool: `real` of these rows of the batch, of all if None."""
    if rows is None:
        return real
    if any(not 0 <= row < len(real) for row in rows):
        raise StackError(f"rows {list(rows)} of a batch of {len(real)}")
    wanted = torch.zeros(len(real), dtype=torch.bool, device=real.device)
    wanted[list(rows)] = True
    return real & wanted[:, None]
