"""What an eraser does in embedding space: the concept's legibility before and after, and what else moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from erasers.arguments import required_tokenizer, text_encoder_of
from erasers.choices import Padding
from erasers.encoding import FlatStates, PromptEncoder
from erasers.eraser import Eraser
from erasers.evaluate.drift import drift
from erasers.pairs import Pairs
from erasers.probe import LinearProbe, fit_probe
from erasers.stack import attach


def evaluate_embeddings(
    text_encoder: Any,
    tokenizer: Any,
    eraser: Eraser,
    pairs: Pairs,
    *,
    keep_prompts: Sequence[str] = (),
    strength: float | None = None,
    seed: int = 0,
    max_length: int | None = None,
    padding: Padding = "masked",
    fingerprint: str | None = None,
) -> dict[str, Any]:
    """Fit a probe on the train part of `pairs.split(seed)`, report on its test part.

    fingerprint: `erasers.fingerprint(text_encoder, tokenizer)`, if known: spares reading all weights.

    A number from embeddings says what the denoiser is told, not what it draws.
    """
    encoder = PromptEncoder(
        text_encoder_of(text_encoder), required_tokenizer(text_encoder, tokenizer), max_length, padding
    )
    parts = pairs.split(seed)
    probe = fit_probe(*(encoder.final_states(side).pooled() for side in (parts.train.positive, parts.train.negative)))
    return report(encoder, eraser, probe, parts.test, keep_prompts=keep_prompts, strength=strength, fingerprint=fingerprint)


def report(
    encoder: PromptEncoder,
    eraser: Eraser,
    probe: LinearProbe,
    pairs: Pairs,
    *,
    keep_prompts: Sequence[str] = (),
    strength: float | None = None,
    fingerprint: str | None = None,
) -> dict[str, Any]:
    """Of pairs that the probe was not fitted on. A strength of None is the eraser's own."""
    sides = [pairs.positive, pairs.negative, *([tuple(keep_prompts)] if keep_prompts else [])]
    before = [encoder.final_states(side) for side in sides]
    with attach(encoder.text_encoder, [eraser], encoder.tokenizer, strengths=[strength], fingerprint=fingerprint) as handle:
        after = [encoder.final_states(side) for side in sides]
    handle.require(rows=sum(map(len, sides)))
    result = {
        "pairs": len(pairs),
        "strength": handle.uses[0].strength,
        "probe_error_before": probe.error(before[0].pooled(), before[1].pooled()),
        "probe_error_after": probe.error(after[0].pooled(), after[1].pooled()),
        "detected_before": detected(probe, before[0]),
        "detected_after": detected(probe, after[0]),
        "false_alarms_before": detected(probe, before[1]),
        "false_alarms_after": detected(probe, after[1]),
        "change_positive": mean_drift(before[0], after[0]),
        "drift_negative": mean_drift(before[1], after[1]),
    }
    if keep_prompts:
        result |= {"keep_prompts": len(keep_prompts), "drift_keep": mean_drift(before[2], after[2])}
    return result


def detected(probe: LinearProbe, states: FlatStates) -> float:
    """Share of prompts in which the probe sees the concept."""
    return round(float((probe(states.pooled()) > 0).double().mean()), 4)


def mean_drift(before: FlatStates, after: FlatStates) -> float:
    return round(float(drift(before, after).mean()), 5)
