"""Keep the features that act, drop the rest, and say what that changes.

Let a feature's reach be l_i f_i, the length of what it takes out of a token at γ = 1: l_i is m_i ‖d_i‖, or |u_i| ‖d‖ where
features are read along u and one direction is written, as the ReLU between the two stretches nothing. Then

* l_i = 0: dropping it changes nothing, exactly;
* b_i + R ‖w_i‖ ≤ 0: it cannot fire on any ‖h‖ ≤ R, so that inside this ball dropping it changes nothing either;
* otherwise ‖Δh'‖ ≤ γ Σ_dropped reach_i (triangle inequality). On tokens seen in training reach_i is at most its peak
  there, and features go, the smallest peak first, while γ Σ peak stays below `tolerance` · mean ‖h‖. For any h in the
  ball it is at most l_i (b_i + R ‖w_i‖), a far looser number, which is reported beside it.

Matrices are stored as float32 if all fits `max_bytes`, else float16; if that is still too much, more features go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from erasers.sae import features

BALL = 1.25
"""R is this times the largest ‖h‖ seen."""
_AXIS = {"W_enc": 1, "W_dec": 0, "b_enc": 0, "m_spec": 0, "reader": 0, "threshold": 0}
"""Along which the features of a tensor lie; the others are no feature's."""
HEADER_BYTES = 1024
"""Set aside for the header of the tensor file."""


@torch.no_grad()
def compact(
    tensors: dict[str, Tensor], states: Iterable[Tensor], *, length: Tensor, gamma: float, tolerance: float, max_bytes: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """`states` are batches of training tokens h (n, d_model) at the layer; `length` (d_sae,) is each feature's l."""
    peak = torch.zeros_like(tensors["b_enc"])
    norms = []
    for h in states:
        peak = torch.maximum(peak, features(tensors, h).amax(0))
        norms.append(h.norm(dim=1))
    norm = torch.cat(norms)
    radius = BALL * float(norm.max())
    possible = torch.relu(tensors["b_enc"] + radius * tensors["W_enc"].norm(dim=0))
    can_act = (length > 0) & (possible > 0)
    reach = torch.where(can_act, length * peak, 0)

    order = torch.argsort(reach)
    within = gamma * torch.cumsum(reach[order], 0) <= tolerance * norm.mean()
    keep = torch.ones_like(can_act)
    keep[order[within]] = False
    keep[order[-1]] = True  # an eraser has at least one feature, be it without effect
    keep &= can_act
    dtype, most = _fit(int(keep.sum()), tensors, max_bytes)
    if most < int(keep.sum()):
        keep = torch.zeros_like(keep).index_fill_(0, order[len(order) - most :], True) & can_act
    dropped = can_act & ~keep
    kept = {name: _select(name, tensor, keep, dtype) for name, tensor in tensors.items()}
    return kept, {
        "d_sae": len(keep),
        "kept": int(keep.sum()),
        "dropped_exactly": int((~can_act).sum()),
        "dropped_within_bound": int(dropped.sum()),
        "dtype": str(dtype).removeprefix("torch."),
        "bound_on_training_tokens": float(gamma * reach[dropped].sum() / norm.mean()),
        "bound_in_ball": float(gamma * (length * possible)[dropped].sum() / norm.mean()),
        "ball_radius": radius,
        "tolerance": tolerance,
    }


def _select(name: str, tensor: Tensor, keep: Tensor, dtype: torch.dtype) -> Tensor:
    """Matrices in `dtype`; the few numbers of the vectors stay float32."""
    if name not in _AXIS:
        return tensor
    chosen = tensor.index_select(_AXIS[name], keep.nonzero()[:, 0])
    return (chosen.to(dtype) if tensor.dim() == 2 else chosen).contiguous()


def _fit(count: int, tensors: dict[str, Tensor], max_bytes: int) -> tuple[torch.dtype, int]:
    """The dtype to store matrices in, and how many features fit then."""
    fixed = sum(4 * tensor.numel() for name, tensor in tensors.items() if name not in _AXIS)
    vectors = 4 * sum(name in _AXIS and tensor.dim() == 1 for name, tensor in tensors.items())
    widths = sum(tensor.numel() // tensor.shape[_AXIS[name]] for name, tensor in tensors.items() if tensor.dim() == 2)
    for dtype in (torch.float32, torch.float16):
        most = max(1, (max_bytes - HEADER_BYTES - fixed) // (widths * dtype.itemsize + vectors))
        if count <= most:
            break
    return dtype, most


@torch.no_grad()
def measured_change(
    full: Callable[[Tensor], Tensor], stored: Callable[[Tensor], Tensor], states: Iterable[Tensor], gamma: float
) -> dict[str, float]:
    """‖Δh'‖ / ‖h'‖ of v by the stored tensors against v by the full ones: the largest and the 99.9th percentile over tokens."""
    change = torch.cat([_relative_change(h - gamma * full(h), h - gamma * stored(h)) for h in states])
    return {"change_max": float(change.max()), "change_p999": float(quantile(change, 0.999))}


def _relative_change(wanted: Tensor, found: Tensor) -> Tensor:
    change: Tensor = (found - wanted).norm(dim=1) / wanted.norm(dim=1).clamp_min(1e-8)
    return change


def quantile(values: Tensor, q: float) -> Tensor:
    """As torch.quantile, for any number of values: the one at rank q."""
    rank = max(1, round(q * len(values)))
    ranked: Tensor = values.sort().values
    return ranked[rank - 1]
