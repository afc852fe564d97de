"""NegPrompt: the concept's names, appended to the negative prompt.

No training and no hook; it works through classifier-free guidance, and so only where the guidance scale is above 1. The encoder
says what it said before: what this takes out can only be measured on frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erasers import encoders
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder
from erasers.methods.base import Fitted, PromptMethod, TrainingFree
from erasers.methods.negprompt_config import NegPromptConfig


class NegPrompt(TrainingFree[NegPromptConfig], PromptMethod[NegPromptConfig]):
    name = "negprompt"
    config_type = NegPromptConfig

    def fit_names(self, concept: Concept, encoder: PromptEncoder, config: NegPromptConfig) -> Fitted:
        last = len(encoders.blocks(encoder.text_encoder)) - 1
        return Fitted(layer=last, tensors={}, parameters={"words": list(concept.names)}, mask={}, search={})

    def words(self, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(parameters["words"])
