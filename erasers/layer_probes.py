"""A linear probe per layer: where can the concept be read with a straight cut? (The paper's Table 11.)"""

from __future__ import annotations

from torch import Tensor

from erasers.cache import ActivationCache
from erasers.probe import fit_probe


def probe_errors(cache: ActivationCache, positive: Tensor, negative: Tensor) -> list[float]:
    """Error on the last third of the pairs (rows of the cache) of a probe fitted on the others, by layer."""
    cut = max(1, len(positive) * 2 // 3)
    errors = []
    for layer in range(cache.layers):
        pos, neg = (cache.pooled(layer, rows) for rows in (positive, negative))
        errors.append(fit_probe(pos[:cut], neg[:cut]).error(pos[cut:], neg[cut:]) if cut < len(pos) else 0.5)
    return errors
