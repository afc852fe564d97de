"""Whether the values of an eraser's tensors are those that its method's fit can give: what a file may hold and no shape shows.

Needs no encoder, and runs whenever an eraser is built or loaded. `erasers.edit_checks` looks at what it does to hidden states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from erasers.artefact import ArtefactConfig, check_config_shapes
from erasers.errors import ArtefactInvalid
from erasers.layouts import MAX_MAGNITUDE

_UNIT_TOLERANCE = 0.05
"""Of unit norms, for matrices that are stored in float16."""


def check_values(config: ArtefactConfig, tensors: Mapping[str, Tensor]) -> None:
    """Raises ArtefactInvalid for tensors that are not finite, not those of the method's layout, or outside of what the method's
    fit can give."""
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    check_config_shapes(config, shapes)
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise ArtefactInvalid(f"tensor {name!r} holds values that are not finite")
        if tensor.numel() and (largest := float(tensor.abs().max())) > MAX_MAGNITUDE:
            raise ArtefactInvalid(f"tensor {name!r} holds {largest:.3g}; hidden states do not exceed {MAX_MAGNITUDE:g}")
    for name, (condition, must) in _RANGES.get(config.method, {}).items():
        if name in tensors and tensors[name].numel() and not condition(tensors[name].float()):
            raise ArtefactInvalid(f"tensor {name!r} of a {config.method} eraser must {must}")


def _within_unit(tensor: Tensor) -> bool:
    return bool(((tensor >= 0) & (tensor <= 1)).all())


def _unit_rows(tensor: Tensor) -> bool:
    return float(tensor.norm(dim=1).max()) <= 1 + _UNIT_TOLERANCE


def _unit(tensor: Tensor) -> bool:
    return float(tensor.norm()) <= 1 + _UNIT_TOLERANCE


def _orthonormal(tensor: Tensor) -> bool:
    identity = torch.eye(len(tensor), device=tensor.device)
    return float((tensor @ tensor.T - identity).abs().max()) <= _UNIT_TOLERANCE


_RANGES: dict[str, dict[str, tuple[Callable[[Tensor], bool], str]]] = {
    "clear": {
        "m_spec": (_within_unit, "lie within [0, 1]"),
        "W_dec": (_unit_rows, "have rows of norm 1 at most"),
        "reader": (_unit, "have norm 1 at most"),
        "threshold": (lambda tensor: bool((tensor >= 0).all()), "be 0 or more"),
    },
    "safree": {"basis": (_orthonormal, "have orthonormal rows")},
}
