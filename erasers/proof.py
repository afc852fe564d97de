"""Proof that the hooks of a stack ran, given after every forward of the encoder.

An installed hook need not run: scripted, exported and graph-captured modules do not call the hooks of their parts, and a block
that is replaced takes its hook with it. Without proof, an eraser that never ran would look like one that found nothing to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from erasers.acting import Acting, Turn
from erasers.errors import EraserBypassed
from erasers.hooks import RealTokens
from erasers.methods.base import Stage

Site = tuple[Stage, int]
"""Where an eraser's hook is: the stage, and the 0-based block."""


class Proof:
    """Checks after each forward that every hook read all rows of the batch, and counts these rows for its erasers."""

    def __init__(self, sites: Mapping[Site, Sequence[Acting]], real_tokens: RealTokens, turn: Turn) -> None:
        """`sites` are those that have a hook, with the erasers that act there."""
        self._sites, self._real_tokens, self._turn = sites, real_tokens, turn
        self.forwards = 0
        """Forwards that were proven, without the variants that an eraser has the encoder look at."""

    def read(self, site: Site, chosen: Tensor) -> None:
        """A hook has read these tokens of the forward in progress, (B, T), bool."""
        self._real_tokens.forward.rows_read[site] = chosen.any(1)

    def check(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Forward hook of the encoder, before the forward counts as ended. Raises EraserBypassed for a hook that did not run."""
        read = self._real_tokens.forward.rows_read
        for site, erasers in self._sites.items():
            stage, layer = site
            if stage == "embeddings" and self._turn.variant:
                continue
            if site not in read:
                place = "the final embeddings" if stage == "embeddings" else f"{stage} of block {layer}"
                names = ", ".join(repr(one.eraser.concept) for one in erasers)
                raise EraserBypassed(
                    f"{type(module).__name__} ran without calling the hook on {place}, so that {names} was not erased; "
                    "attach to the encoder as transformers loads it, not to one that is scripted, exported, captured as a graph "
                    "or rebuilt while erasers are attached"
                )
            if not self._turn.variant:
                rows = int(read[site].sum())
                for one in erasers:
                    one.applied(rows)
        self.forwards += not self._turn.variant
