"""Options of NegPrompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from erasers.methods.config import Gamma, MethodConfig
from erasers.options import require


@dataclass(frozen=True, kw_only=True)
class NegPromptConfig(MethodConfig):
    gateable: ClassVar[bool] = False

    gamma: Gamma | Literal["auto"] = 1.0
    """Always 1: the words are in the negative prompt or not."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layer is None, "layer", self.layer, "null: negprompt acts on no layer")
        require(self.gamma == 1.0, "gamma", self.gamma, "1: words are there or not")
