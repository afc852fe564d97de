"""Options of HiRM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from erasers.methods.config import Gamma, GammaMax, MethodConfig
from erasers.options import Bounds, require

Target = Literal["random", "supercategory"]
MAX_WORD = 200
"""Characters."""


@dataclass(frozen=True, kw_only=True)
class HirmConfig(MethodConfig):
    gateable: ClassVar[bool] = False

    gamma: Gamma | Literal["auto"] = 1.0
    gamma_max: GammaMax = 2.0
    target: Target = "random"
    supercategory: str = ""
    """The broader word of `supercategory`: "painting" for an artist, "thing" for an object."""
    scale: Annotated[float, Bounds(0, 10_000, exclusive=True)] = 1.0
    """c, in mean norms of the last states: the paper's c = 500 is for CLIP's and random targets, its c = 1 for the other."""
    steps: Annotated[int, Bounds(1, 10_000)] = 50
    step_size: Annotated[float, Bounds(0, 10, exclusive=True)] = 2e-3
    """Of Adam, relative to the RMS of W_o: the paper's 5e-5 at CLIP's weights."""
    rank: Annotated[int, Bounds(1, 4096)] = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        named = bool(self.supercategory.strip())
        require(
            named == (self.target == "supercategory"), "supercategory", self.supercategory, "given for that target, and only then"
        )
        require(len(self.supercategory) <= MAX_WORD, "supercategory", self.supercategory, f"of {MAX_WORD} characters at most")
