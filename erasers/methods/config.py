"""Options that every method has: how γ is chosen, whether there is a gate, how prompts are padded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from erasers.choices import Padding
from erasers.errors import ConfigError
from erasers.options import Bounds, check_types, from_mapping, require

MAX_LAYERS = 1024
MAX_STRENGTHS = 200
"""Points of the curve that `auto` draws: each is a pass over the calibration prompts."""

Layer = Annotated[int, Bounds(0, MAX_LAYERS - 1)]
Gamma = Annotated[float, Bounds(0, 100)]
GammaMax = Annotated[float, Bounds(0, 100, exclusive=True)]


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    gateable: ClassVar[bool] = True
    """Whether the method acts on a block's output, as a gate needs."""

    layer: Layer | None = None
    """0-based encoder block; None: the method looks for it."""
    gamma: Gamma | Literal["auto"] = "auto"
    """γ; `auto`: the smallest that brings the concept down to `gamma_level`, times `gamma_margin`, within the drift budget."""
    gamma_max: GammaMax = 8.0
    gamma_step: GammaMax = 0.5
    """Spacing of the curve that `auto` draws, from gamma_step to gamma_max."""
    gamma_level: Annotated[float, Bounds(-100, 100)] = 0.0
    """Concept score to get down to: 1 is that of untouched positives, 0 that of negatives (a probe on the final embeddings)."""
    gamma_margin: Annotated[float, Bounds(1, 100)] = 1.25
    """Times the smallest γ that does, for synonyms and wordings that the pairs lack."""
    drift_budget: Annotated[float, Bounds(0, 100, exclusive=True)] = 0.25
    """Largest mean relative change of the embeddings of negatives and of keep prompts."""
    gate: bool = False
    """Act only on prompts whose concept score reaches a threshold; the others pass bit for bit."""
    gate_fpr: Annotated[float, Bounds(0, 1, exclusive=True)] = 0.01
    """Share of negatives that may reach it, but for the margin."""
    gate_margin: Annotated[float, Bounds(0, 1)] = 0.1
    """Where it is between what the negatives reach, 0, and what the positives do, 1."""
    padding: Padding = "masked"

    def __post_init__(self) -> None:
        check_types(self)
        require(self.gamma_max >= self.gamma_step, "gamma_max", self.gamma_max, f"gamma_step ({self.gamma_step}) or more")
        least = f"gamma_max / {MAX_STRENGTHS} or more: at most {MAX_STRENGTHS} strengths are tried"
        require(self.gamma_max / self.gamma_step <= MAX_STRENGTHS, "gamma_step", self.gamma_step, least)
        require(self.gate_fpr < 1, "gate_fpr", self.gate_fpr, "below 1")
        require(self.gate_margin < 1, "gate_margin", self.gate_margin, "below 1")
        require(self.gateable or not self.gate, "gate", self.gate, "off: it is for methods that act on a block's output")

    def check_layer(self, layers: int) -> None:
        """Raises ConfigError if the config names a block that an encoder with so many blocks does not have."""
        must = f"below {layers}, the number of the encoder's blocks"
        require(self.layer is None or self.layer < layers, "layer", self.layer, must)


def config_of(kind: type[MethodConfig], config: MethodConfig | Mapping[str, Any] | None) -> MethodConfig:
    """What a caller gives as a method's config: one, options that differ from its defaults, or None."""
    if config is None:
        return kind()
    if isinstance(config, kind):
        return config
    if isinstance(config, Mapping):
        return from_mapping(kind, config)
    raise ConfigError(f"config must be a {kind.__name__}, a mapping of its options, or None, got {type(config).__name__}")
