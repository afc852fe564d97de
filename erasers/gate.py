"""A gate: act on a prompt only where the concept's score is high enough. The others pass bit for bit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from erasers.artefact import Gate


def fit_gate(negative_scores: Tensor, positive_scores: Tensor, *, false_positive_rate: float, margin: float) -> Gate:
    """`threshold_between`, as a gate that opens at it. Scores (prompts,): the maximum over each prompt's tokens."""
    threshold = threshold_between(negative_scores, positive_scores, false_positive_rate=false_positive_rate, margin=margin)
    return Gate(threshold, false_positive_rate)


def threshold_between(negative_scores: Tensor, positive_scores: Tensor, *, false_positive_rate: float, margin: float) -> float:
    """The lowest threshold that at most `false_positive_rate` of the negatives reach, and `margin` of the way from there to
    the positives: prompts to come are not those that were at hand. As many of the positives as of the negatives are left out
    of account; where these are not beyond the negatives there is no way to go. Scores are (prompts,).
    """
    ranked = negative_scores.float().sort(descending=True).values
    bound = ranked[math.floor(false_positive_rate * len(ranked))]
    ascending = positive_scores.float().sort().values
    beyond = ascending[math.floor(false_positive_rate * len(ascending))]
    threshold = bound + margin * torch.relu(beyond - bound)
    return float(torch.nextafter(threshold, torch.full_like(threshold, torch.inf)))
