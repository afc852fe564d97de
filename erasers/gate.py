"""A gate: act on a prompt only where the concept's score is high enough. The others pass bit for bit."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from erasers.artefact import Gate


def fit_gate(negative_scores: Tensor, false_positive_rate: float) -> Gate:
    """The lowest threshold that at most `false_positive_rate` of the negatives reach.

    `negative_scores` (prompts,): the maximum over each prompt's tokens of prompts without the concept.
    """
    ranked = negative_scores.sort(descending=True).values
    allowed = math.floor(false_positive_rate * len(ranked))
    threshold = torch.nextafter(ranked[allowed].float(), torch.tensor(torch.inf, device=ranked.device))
    return Gate(float(threshold), false_positive_rate)
