"""An eraser at work in a stack: its strength, and the tally of what it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from erasers.eraser import Eraser


@dataclass(frozen=True)
class Use:
    """What one eraser did, over all forwards of one `with`."""

    concept: str
    digest: str
    layer: int
    strength: float
    tokens_edited: int
    """Real tokens whose state was changed, summed over forwards; of the negative prompt, phrases that were appended."""
    score_before: float | None
    """The concept's score where the eraser acts: for CLEAR Σ_i m_i f_i, in units of h; the maximum over real tokens and
    forwards. 0 for an eraser that acts on the negative prompt. None before the eraser has read anything."""
    score_after: float | None
    """The same after the whole stack acted there."""
    rows: int
    """Rows of real tokens that the eraser is proven to have read, summed over forwards; of the negative prompt, the prompts that
    it was given. 0 means that nothing was encoded through it."""
    gated: bool
    """The eraser has a gate, so that no edited token may mean a prompt without the concept."""


class Turn:
    """Whether the forward in progress is the caller's own, or a variant that an eraser has the encoder look at.

    Variants go through the same erasers, and are on nobody's tally.
    """

    def __init__(self) -> None:
        self.variant = False


@dataclass(eq=False)
class Acting:
    eraser: Eraser
    strength: float
    turn: Turn
    rows: int = 0
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
            score_before=self.score_before,
            score_after=self.score_after,
            rows=self.rows,
            gated=self.eraser.config.gate is not None,
        )

    def gamma(self, score: Tensor, row: Tensor) -> Tensor:
        """(n,): the strength at each token, 0 where the gate stays closed for the token's prompt."""
        gate = self.eraser.config.gate
        opens = torch.ones_like(score) if gate is None else _opens(score, row, gate.threshold)
        return self.strength * opens

    def found(self, score: float) -> None:
        """The highest score of a forward's tokens, before anything acted."""
        if not self.turn.variant:
            self.score_before = _larger(self.score_before, score)

    def applied(self, rows: int) -> None:
        """These rows went through the eraser, whether or not it had anything to edit."""
        self.rows += rows

    def edited(self, tokens: int) -> None:
        if not self.turn.variant:
            self.tokens_edited += tokens

    def left(self, score: float) -> None:
        """The highest score of a forward's tokens, after the stack acted."""
        if not self.turn.variant:
            self.score_after = _larger(self.score_after, score)


def any_gate(acting: Iterable[Acting]) -> bool:
    return any(one.eraser.config.gate is not None for one in acting)


def _opens(score: Tensor, row: Tensor, threshold: float) -> Tensor:
    """(n,), 0 or 1: whether the gate opens for the prompt of each token."""
    highest = score.new_full((int(row.max()) + 1,), -torch.inf).scatter_reduce_(0, row, score, "amax")
    return (highest >= threshold)[row].to(score.dtype)


def _larger(best: float | None, value: float) -> float:
    return value if best is None else max(best, value)
