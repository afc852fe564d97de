"""SAFREE: move the tokens that carry a concept out of the concept's subspace, without training (arXiv 2410.12761).

A token is a trigger if the prompt without it lies further from the concept than the prompt without any other token does.
Triggers are projected into the span of the prompt's own variants, then out of the concept's subspace:

    C = span of the phrases' embeddings    M = span of the prompt's embeddings, each without one token
    trigger i:  ‖(I - P_C) e_i‖ ≥ (1 + α) mean_(j≠i) ‖(I - P_C) e_j‖          e'_i = (I - P_C) P_M e_i

CLIP sums up a prompt in its end-of-sequence, which pooled outputs are made of: where a token is a trigger, (I - P_C) is applied
to it as well.

A prompt costs as many more encoder rows as it has tokens. What the paper adds in the denoiser (a number of steps from the
similarity before and after, re-attention in the frequency domain) is for image models and is not here; nor is it in the
authors' port to CogVideoX. `reference` does as that port does, where it differs: a prompt is summed up by its first token and
not by the mean; tokens are counted as if a start-of-sequence came first, so that the first one is never a trigger and
end-of-sequence may be one; projections in bfloat16. The port also puts the phrases into the negative prompt: stack `negprompt`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from erasers import encoders
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder
from erasers.methods.base import EmbeddingMethod, Fitted, Tensors, TrainingFree
from erasers.methods.safree_config import SafreeConfig

RANK_TOLERANCE = 1e-4
"""Singular values below it, relative to the largest, count as none."""


class Safree(TrainingFree[SafreeConfig], EmbeddingMethod[SafreeConfig]):
    name = "safree"
    config_type = SafreeConfig

    def fit_names(self, concept: Concept, encoder: PromptEncoder, config: SafreeConfig) -> Fitted:
        """The phrases are the concept's name and synonyms."""
        states = encoder.final_states(concept.names)
        if config.reference:
            first = torch.cat([states.prompt.new_ones(1), states.prompt.diff()]) > 0
            phrases = states.tokens[first]
        else:
            phrases = states.pooled()
        return Fitted(
            layer=len(encoders.blocks(encoder.text_encoder)) - 1,
            tensors={"basis": _orthonormal(phrases).contiguous()},
            parameters={"alpha": float(config.alpha), "reference": config.reference},
            mask={},
            search={},
        )

    def score(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor) -> Tensor:
        """‖P_C e‖ / ‖e‖: the share of a token that lies in the concept's subspace."""
        share: Tensor = (e @ tensors["basis"].T).norm(dim=1) / e.norm(dim=1).clamp_min(1e-8)
        return share

    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor, without: Callable[[], Tensor]) -> Tensor:
        reference: bool = parameters["reference"]
        basis = tensors["basis"]
        variants = _summed_up(without(), reference)  # (n, d_model)
        tested = slice(1, None) if reference else slice(0, max(1, len(e) - 1))  # without end-of-sequence
        variants, candidates = variants[tested], e[tested]
        if not len(candidates):
            return torch.zeros_like(e)
        away = (variants - _project(basis, variants, reference)).norm(dim=1)
        projected = _project(_orthonormal(variants), candidates, reference)
        moved = projected - _project(basis, projected, reference)
        v = torch.zeros_like(e)
        v[tested] = torch.where(_triggers(away, parameters["alpha"])[:, None], candidates - moved, 0.0)
        return v

    def edit_summary(self, tensors: Tensors, parameters: Mapping[str, Any], e: Tensor) -> Tensor:
        return _project(tensors["basis"], e, parameters["reference"])


def _triggers(away: Tensor, alpha: float) -> Tensor:
    """(n,), bool, from the distances (n,) of the prompt's variants. A prompt of one token has none to compare: it is one."""
    if len(away) == 1:
        return torch.ones_like(away, dtype=torch.bool)
    others: Tensor = (away.sum() - away) / (len(away) - 1)
    triggers: Tensor = away >= (1 + alpha) * others
    return triggers


def _summed_up(variants: Tensor, reference: bool) -> Tensor:
    """(n, n, d_model) → (n, d_model): each variant as one vector; token i takes no part in variant i."""
    if reference:
        return variants[:, 0]
    count = len(variants)
    if count == 1:
        return variants[:, 0]
    others = 1 - torch.eye(count, device=variants.device)
    return torch.einsum("ij,ijd->id", others, variants) / (count - 1)


def _orthonormal(rows: Tensor) -> Tensor:
    """(k, d): an orthonormal basis of the span of these rows (n, d), k ≤ n."""
    _, s, vh = torch.linalg.svd(rows.float(), full_matrices=False)
    basis: Tensor = vh[s > RANK_TOLERANCE * s[0]]
    return basis


def _project(basis: Tensor, x: Tensor, reference: bool) -> Tensor:
    """x (n, d) onto the span of the basis's rows."""
    if reference:
        return ((x.bfloat16() @ basis.bfloat16().T) @ basis.bfloat16()).float()
    return (x @ basis.T) @ basis
