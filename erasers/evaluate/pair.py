"""What two erasers leave of their concepts, and of everything else, when they act together: read in the embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from erasers.evaluate.report import detected, mean_drift
from erasers.pairs import Pairs
from erasers.probe import LinearProbe, fit_probe
from erasers.stack import attach


@dataclass(frozen=True, eq=False)
class Legible:
    """A concept as a probe finds it in embeddings."""

    probe: LinearProbe
    prompts: tuple[str, ...]
    """They name the concept; the probe was not fitted on them."""
    origin_rate: float
    """The share of them in which the probe finds it, without erasers."""

    @classmethod
    def of(cls, encoder: PromptEncoder, pairs: Pairs, seed: int = 0) -> Legible:
        """Fitted on the train part of `pairs.split(seed)`, to be asked about its test part."""
        parts = pairs.split(seed)
        probe = fit_probe(*(encoder.final_states(side).pooled() for side in (parts.train.positive, parts.train.negative)))
        prompts = parts.test.positive
        return cls(probe, prompts, detected(probe, encoder.final_states(prompts)))

    def rate(self, encoder: PromptEncoder) -> float:
        """The share of `prompts` in which the probe finds it now, with whatever is attached."""
        return detected(self.probe, encoder.final_states(self.prompts))


class PairNumbers(TypedDict):
    origin_rate: float
    erased_rate: float
    other_origin_rate: float
    other_erased_rate: float
    kept_rate: float | None
    """1 less the relative change of the embeddings of `others`, not below 0; None without any."""


def evaluate_pair(
    encoder: PromptEncoder,
    pair: tuple[Eraser, Eraser],
    concepts: tuple[Legible, Legible],
    *,
    others: Sequence[str],
    strengths: tuple[float | None, float | None] = (None, None),
    fingerprint: str | None = None,
) -> PairNumbers:
    """`concepts[i]` is what `pair[i]` takes out; `others` are prompts that name neither."""
    first, second = concepts
    before = encoder.final_states(others) if others else None
    with attach(encoder.text_encoder, pair, encoder.tokenizer, strengths=strengths, fingerprint=fingerprint):
        erased = [concept.rate(encoder) for concept in concepts]
        after = encoder.final_states(others) if others else None
    return PairNumbers(
        origin_rate=first.origin_rate,
        erased_rate=erased[0],
        other_origin_rate=second.origin_rate,
        other_erased_rate=erased[1],
        kept_rate=None if before is None or after is None else round(max(0.0, 1 - mean_drift(before, after)), 4),
    )
