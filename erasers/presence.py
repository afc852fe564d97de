"""How strongly a concept is present in a prompt's embeddings, and up to which score it counts as absent.

A linear probe scores each token of the encoder's output; the score of a prompt is the largest of its tokens, so that more
words around a concept do not hide it. The probe is fitted as multiple-instance learning does (mi-SVM, Andrews et al. 2002):
each prompt stands for its highest-scoring token, which the probe of the round before has chosen. The scale is that of
held-out prompts: 0 is the mean of those without the concept, 1 that of those with it.

The score is read behind the last block, so it is the same measure for every method and sees the whole stack. It says what
the denoiser is given, not what it draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from erasers.artefact import Presence
from erasers.encoding import FlatStates, max_by_prompt
from erasers.gate import threshold_between
from erasers.layouts import PRESENCE_TENSOR
from erasers.probe import LinearProbe, fit_probe

TENSOR = PRESENCE_TENSOR
"""Name of the tensor w (d_model,) in an artifact."""
ROUNDS = 3
"""Refits of the probe after the first, which is fitted to pooled embeddings."""
FALSE_POSITIVE_RATE = 0.01
"""Share of the prompts without the concept that may score above `absent_below`, before the margin."""
MARGIN = 0.25
"""Where `absent_below` lies on the way from what prompts without the concept score, 0, to what prompts with it do, 1."""


def token_scores(tensors: Mapping[str, Tensor], presence: Presence, e: Tensor) -> Tensor:
    """(n,): the score of each of the embeddings e (n, d_model)."""
    scores: Tensor = e.float() @ tensors[TENSOR].to(e.device, torch.float32) + presence.bias
    return scores


def fit_presence(
    *, positive: FlatStates, negative: FlatStates, held_out: FlatStates, absent: FlatStates
) -> tuple[Tensor, Presence] | None:
    """w (d_model,), float32, and its scale.

    positive, negative: embeddings that the probe is fitted to. held_out: of other prompts with the concept. absent: of other
    prompts without it, negatives and keep prompts. None where the concept cannot be read: the reference would lie above the
    mean of the held-out prompts with the concept.
    """
    probe = fit_probe(positive.pooled(), negative.pooled())
    for _ in range(ROUNDS):
        probe = fit_probe(*(_highest(probe, states) for states in (positive, negative)))
    with_concept, without = (max_by_prompt(probe(states.tokens), states.prompt) for states in (held_out, absent))
    zero, one = float(without.mean()), float(with_concept.mean())
    if one <= zero:
        return None
    scale = one - zero
    absent_below = threshold_between(
        (without - zero) / scale, (with_concept - zero) / scale, false_positive_rate=FALSE_POSITIVE_RATE, margin=MARGIN
    )
    if absent_below >= 1:
        return None
    weight = (probe.weight / scale).float().contiguous()
    return weight, Presence(bias=float((probe.bias - zero) / scale), absent_below=absent_below)


def _highest(probe: LinearProbe, states: FlatStates) -> Tensor:
    """(prompts, d_model): the token of each prompt that scores highest, the first of several."""
    scores = probe(states.tokens)
    ranked = torch.argsort(scores, descending=True, stable=True)
    ranked = ranked[torch.argsort(states.prompt[ranked], stable=True)]  # by prompt, the highest of each first
    starts = torch.cumsum(torch.bincount(states.prompt), 0) - torch.bincount(states.prompt)
    highest: Tensor = states.tokens[ranked[starts]]
    return highest
