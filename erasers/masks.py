"""Which features are the concept's: three readings of Eq. 3 and 4, and the separation they give (Eq. 6).

`f_pos` and `f_neg` (d_sae,) are mean activations of each feature over positive and negative prompts.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from erasers.choices import MaskKind, MaskMaximum

EPSILON = 1e-8


def specificity(kind: MaskKind, f_pos: Tensor, f_neg: Tensor, maximum: MaskMaximum = "max") -> Tensor:
    """m_spec in [0, 1]^d_sae: 1 where a feature is the concept's alone."""
    if kind == "paper":
        return paper(f_neg, maximum)
    if kind == "ratio":
        return ratio(f_pos, f_neg)
    return contrast(f_pos, f_neg)


def paper(f_neg: Tensor, maximum: MaskMaximum = "max") -> Tensor:
    """1 - f⁻ / (max_k f⁻ + ε): Eq. 3 and 4 as written. What never occurs in the negatives counts as specific."""
    largest = f_neg.max() if maximum == "max" else torch.quantile(f_neg, 0.999)
    return 1 - (f_neg / (largest + EPSILON)).clamp(0, 1)


def ratio(f_pos: Tensor, f_neg: Tensor) -> Tensor:
    """1 - clip(f⁻ / f⁺, 0, 1): each feature against its own activity on positives; 0 where it never fires on them."""
    return torch.where(f_pos > 0, 1 - (f_neg / f_pos.clamp_min(EPSILON)).clamp(0, 1), torch.zeros_like(f_pos))


def contrast(f_pos: Tensor, f_neg: Tensor) -> Tensor:
    """relu(f⁺ - f⁻) / (f⁺ + f⁻ + ε)."""
    return torch.relu(f_pos - f_neg) / (f_pos + f_neg + EPSILON)


def separation(f: Tensor, m_spec: Tensor) -> Tensor:
    """L_con of f (n, d_sae) on positives: log(1 + S_uni / (S_spe + ε)). Small where the concept's share of f is large."""
    s_spe = (f * m_spec).sum()
    s_uni = (f * (1 - m_spec)).sum()
    return torch.log1p(s_uni / (s_spe + EPSILON))  # Eq. 6


def statistics(m_spec: Tensor, f_pos: Tensor, f_neg: Tensor) -> dict[str, Any]:
    """How much the mask takes: of the features, and of the activation energy on positives and on negatives."""
    return {
        "mean": round(float(m_spec.mean()), 4),
        "share_above_0.5": round(float((m_spec > 0.5).float().mean()), 4),
        "energy_positive": round(float((f_pos * m_spec).sum() / (f_pos.sum() + EPSILON)), 4),
        "energy_negative": round(float((f_neg * m_spec).sum() / (f_neg.sum() + EPSILON)), 4),
    }
