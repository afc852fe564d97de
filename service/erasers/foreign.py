"""What an artefact that comes from elsewhere must be to be taken in: an eraser for a text encoder that is served here, saying
nothing that could not be kept, shown, or sent to a worker.

Looks at what it says of itself; `erasers.artefact` has looked at the layout of its tensors. Their values, and what they do to
hidden states, are checked by the evaluation that follows, before anything of it can be activated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from erasers.artefact import MAX_STRENGTH, ArtefactConfig
from service.domain.text import check_text, normalise_concept
from service.errors import ErrorCode, RequestError, StateError
from workers.contract import ModelCard

_MAX_DEPTH = 32
_LARGEST = 2**63


def concept_of(config: ArtefactConfig) -> str:
    """Its concept as it is spelled here. Raises a `RequestError` where its words or numbers cannot be taken."""
    if not 0 < config.strength <= MAX_STRENGTH:
        message = f"its strength is {config.strength:g}: above 0 and at most {MAX_STRENGTH:g} is served"
        raise RequestError("invalid_eraser", message)
    try:
        for name, report in (("evaluation", config.evaluation), ("recipe", config.recipe)):
            _check(report, name)
        return normalise_concept(config.concept)
    except PydanticCustomError as error:
        code: ErrorCode = "invalid_concept" if error.type == "invalid_concept" else "invalid_text"
        raise RequestError(code, f"config.json: {error.message()}") from error


def model_of(config: ArtefactConfig, cards: Sequence[ModelCard], default_model: str) -> ModelCard:
    """The model that it is for; the default one where several have its encoder. Raises `eraser_wrong_encoder`."""
    encoder = config.encoder
    fitting = [card for card in cards if card.encoder_fingerprint == encoder.fingerprint]
    if not fitting:
        served = ", ".join(f"{card.encoder_fingerprint[:12]}… of {card.id!r}" for card in cards) or "none yet"
        message = f"it was made for the text encoder {encoder.fingerprint[:12]}…, which no model here has; served: {served}"
        raise StateError("eraser_wrong_encoder", message)
    card = min(fitting, key=lambda card: (card.id != default_model, card.id))
    if encoder.layers != card.encoder_layers:
        message = f"it says that its encoder has {encoder.layers} layers; the one with that fingerprint has {card.encoder_layers}"
        raise RequestError("invalid_eraser", message)
    if encoder.d_model != card.encoder_d_model:
        message = f"it says that its encoder is {encoder.d_model} wide; the one with that fingerprint is {card.encoder_d_model}"
        raise RequestError("invalid_eraser", message)
    return card


def _check(value: Any, name: str, depth: int = 0) -> None:
    """JSON as any database keeps it, and any client reads it."""
    if depth > _MAX_DEPTH:
        raise RequestError("invalid_eraser", f"config.json: {name!r} is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, str):
        check_text(value)
    elif isinstance(value, int | float) and not (abs(value) < _LARGEST and math.isfinite(value)):
        raise RequestError("invalid_eraser", f"config.json: {name!r} has a number that is not finite, or too large")
    elif isinstance(value, dict):
        for key, item in value.items():
            check_text(key)
            _check(item, name, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, name, depth + 1)
