"""Options of SAFREE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from erasers.methods.config import Gamma, GammaMax, MethodConfig
from erasers.options import Bounds, require


@dataclass(frozen=True, kw_only=True)
class SafreeConfig(MethodConfig):
    gateable: ClassVar[bool] = False

    gamma: Gamma | Literal["auto"] = 1.0
    gamma_max: GammaMax = 1.0
    alpha: Annotated[float, Bounds(0, 100)] = 0.01
    """α: by how much more than the mean a prompt must move away from the concept when a trigger is left out."""
    reference: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layer is None, "layer", self.layer, "null: safree acts behind the last block")
