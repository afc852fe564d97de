"""Steering: one direction a concept, mean(h⁺) - mean(h⁻) at one layer.

`shift` subtracts it from every token; `project` takes out only as much of it as a token has beyond the negatives' mean,
so that a token without the concept is hardly moved. No training; 8 kB a concept at d_model 4,096. The baseline that a
sparse autoencoder has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from erasers.activity import activity
from erasers.errors import ArtefactInvalid, ConfigError
from erasers.evaluate.layers import probe_errors
from erasers.methods.base import Edit, Fitted, Method, Tensors, TrainingSet
from erasers.methods.config import MethodConfig

Mode = Literal["project", "shift"]


@dataclass(frozen=True, kw_only=True)
class SteeringConfig(MethodConfig):
    mode: Mode = "project"


class Steering(Method[SteeringConfig]):
    name = "steering"
    config_type = SteeringConfig

    def fit(self, data: TrainingSet, config: SteeringConfig) -> Fitted:
        cache = data.cache
        if config.layer is not None and config.layer >= cache.layers:
            raise ConfigError(f"layer must be below {cache.layers}, the number of the encoder's blocks, got {config.layer}")
        errors = probe_errors(cache, data.positive, data.negative)
        layer = _most_legible(errors) if config.layer is None else config.layer
        mean_pos, mean_neg = (activity(lambda h: h, cache, layer, rows, "mean") for rows in (data.positive, data.negative))
        data.progress("fit", 1, 1, {"layer": layer})
        return Fitted(
            layer=layer,
            tensors={"direction": mean_pos - mean_neg, "mean_negative": mean_neg},
            parameters={"mode": config.mode},
            mask={},
            search={"layer": layer, "manual": config.layer is not None, "probe_error": errors},
        )

    def layout(self, parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        if parameters not in ({"mode": "project"}, {"mode": "shift"}):
            raise ArtefactInvalid(f"parameters of steering must be a mode, 'project' or 'shift', got {dict(parameters)!r}")
        return {"direction": ("d_model",), "mean_negative": ("d_model",)}

    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor) -> Edit:
        """The score of a token is how far it lies along the direction, beyond the negatives' mean, in units of h."""
        direction = tensors["direction"]
        unit = direction / direction.norm().clamp_min(1e-8)
        excess = (h - tensors["mean_negative"]) @ unit
        if parameters["mode"] == "shift":
            return Edit(v=direction.expand_as(h), score=excess)
        return Edit(v=torch.relu(excess)[:, None] * unit, score=excess)


def _most_legible(errors: list[float]) -> int:
    """The layer with the smallest probe error; of several the one nearest the middle (early blocks hardly erase, late
    ones harm the rest)."""
    middle = (len(errors) - 1) / 2
    return min(range(len(errors)), key=lambda layer: (errors[layer], abs(layer - middle)))
