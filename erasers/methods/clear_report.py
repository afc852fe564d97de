"""What is kept of a search: its course, and two checks on its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from erasers import masks
from erasers.activity import activity
from erasers.layer_probes import probe_errors
from erasers.methods.base import Tensors, TrainingSet
from erasers.methods.clear_config import ClearConfig
from erasers.normalise import Normalisation
from erasers.sae import features

if TYPE_CHECKING:
    from erasers.methods.clear import Search


def mean_activity(tensors: Tensors, data: TrainingSet, layer: int, rows: Tensor, config: ClearConfig) -> Tensor:
    """f⁺ or f⁻ (d_sae,), exact, over all prompts of a side."""
    return activity(lambda h: features(tensors, h), data.cache, layer, rows, config.fneg)


@torch.no_grad()
def search_report(search: Search, data: TrainingSet, normalisation: Normalisation) -> dict[str, Any]:
    """The trajectory of p; L_con at every layer under the final SAE; how well a linear probe reads each layer.

    The SAE has come to fit the layer that won, so that the scan favours it a little; it is a check, not a proof.
    """
    config = search.config
    scan = [round(_l_con(search, data, normalisation, layer), 4) for layer in range(search.layers)]
    best = min(range(len(scan)), key=scan.__getitem__)
    return {
        "layer": search.layer,
        "manual": config.layer is not None,
        "trajectory": search.trajectory,
        "scan_l_con": scan,
        "scan_layer": best,
        "scan_agrees": best == search.layer,
        "probe_error": probe_errors(data.cache, data.positive, data.negative),
        "l0": round(search.sparsity.l0, 5),
        "l1": round(search.sparsity.weight, 6),
    }


def _l_con(search: Search, data: TrainingSet, normalisation: Normalisation, layer: int) -> float:
    config, tensors = search.config, search.sae.folded(normalisation, layer)
    f_pos, f_neg = (mean_activity(tensors, data, layer, rows, config) for rows in (data.positive, data.negative))
    m_spec = masks.specificity(config.search_mask, f_pos, f_neg, config.mask_max)
    return float(masks.separation(f_pos, m_spec))
