"""NegPrompt: the concept's names, appended to the negative prompt.

No training and no hook; it works through classifier-free guidance, and so only where the guidance scale is above 1. The encoder
says what it said before: what this takes out can only be measured on frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from erasers import encoders
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder
from erasers.methods.base import Fitted, PromptMethod, TrainingFree
from erasers.methods.config import MethodConfig
from erasers.options import require


@dataclass(frozen=True, kw_only=True)
class NegPromptConfig(MethodConfig):
    gamma: float | Literal["auto"] = 1.0
    """Above 0 the words are there; there is no more or less."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layer is None, "layer", self.layer, "null: negprompt acts on no layer")
        require(self.gamma == 1.0, "gamma", self.gamma, "1: words are there or not")


class NegPrompt(TrainingFree[NegPromptConfig], PromptMethod[NegPromptConfig]):
    name = "negprompt"
    config_type = NegPromptConfig

    def fit_names(self, concept: Concept, encoder: PromptEncoder, config: NegPromptConfig) -> Fitted:
        last = len(encoders.blocks(encoder.text_encoder)) - 1
        return Fitted(layer=last, tensors={}, parameters={"words": list(concept.names)}, mask={}, search={})

    def words(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(parameters["words"])
