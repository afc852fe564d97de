"""Options that every method has: how γ is chosen, whether there is a gate, how prompts are padded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from erasers.encoding import Padding
from erasers.errors import ConfigError
from erasers.options import check_types, from_mapping, require


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    layer: int | None = None
    """0-based encoder block; None: the method looks for it."""
    gamma: float | Literal["auto"] = "auto"
    """γ; `auto`: the smallest that brings the concept down to `gamma_level`, times `gamma_margin`, within the drift budget."""
    gamma_max: float = 8.0
    gamma_step: float = 0.5
    """Spacing of the curve that `auto` draws, from gamma_step to gamma_max."""
    gamma_level: float = 0.0
    """Concept score to get down to: 1 is that of untouched positives, 0 that of negatives (a probe on the final embeddings)."""
    gamma_margin: float = 1.25
    """Times the smallest γ that does, for synonyms and wordings that the pairs lack."""
    drift_budget: float = 0.25
    """Largest mean relative change of the embeddings of negatives and of keep prompts."""
    gate: bool = False
    """Act only on prompts whose concept score reaches a threshold; the others pass bit for bit."""
    gate_fpr: float = 0.01
    """Share of negatives that may reach it, but for the margin."""
    gate_margin: float = 0.1
    """Where it is between what the negatives reach, 0, and what the positives do, 1."""
    padding: Padding = "masked"

    def __post_init__(self) -> None:
        check_types(self)
        require(self.layer is None or self.layer >= 0, "layer", self.layer, "0 or more, or null")
        require(self.gamma == "auto" or self.gamma >= 0, "gamma", self.gamma, "0 or more, or 'auto'")
        require(self.gamma_step > 0, "gamma_step", self.gamma_step, "above 0")
        require(self.gamma_max >= self.gamma_step, "gamma_max", self.gamma_max, f"gamma_step ({self.gamma_step}) or more")
        require(self.gamma_margin >= 1, "gamma_margin", self.gamma_margin, "1 or more")
        require(self.drift_budget > 0, "drift_budget", self.drift_budget, "above 0")
        require(0 < self.gate_fpr < 1, "gate_fpr", self.gate_fpr, "between 0 and 1")
        require(0 <= self.gate_margin < 1, "gate_margin", self.gate_margin, "0 or more, and below 1")


def config_of(kind: type[MethodConfig], config: MethodConfig | Mapping[str, Any] | None) -> MethodConfig:
    """What a caller gives as a method's config: one, options that differ from its defaults, or None."""
    if config is None:
        return kind()
    if isinstance(config, kind):
        return config
    if isinstance(config, Mapping):
        return from_mapping(kind, config)
    raise ConfigError(f"config must be a {kind.__name__}, a mapping of its options, or None, got {type(config).__name__}")
