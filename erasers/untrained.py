"""From a concept's names to an eraser, by a method that needs no training: no pairs, no calibration, no evaluation.

It stands in where nobody trained an eraser. How well it erases is not known beforehand, and its artefact does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from erasers import artefact, encoders, methods
from erasers.arguments import required_tokenizer, text_encoder_of
from erasers.artefact import ArtefactConfig, EncoderIdentity
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder, evaluating
from erasers.eraser import Eraser
from erasers.errors import ConfigError
from erasers.methods.base import TrainingFree
from erasers.methods.config import MethodConfig, config_of
from erasers.options import require


def from_names(
    text_encoder: Any,
    tokenizer: Any,
    concept: Concept,
    *,
    method: str = "safree",
    config: MethodConfig | Mapping[str, Any] | None = None,
    max_length: int | None = None,
    identity: EncoderIdentity | None = None,
) -> Eraser:
    """An eraser of what the names say, and nothing else. The same arguments give the same bytes on the same CPU.

    config, max_length: as in `erasers.train`; `gamma` is a number, because nothing is there to calibrate it by.
    identity: `erasers.encoders.identity(text_encoder, tokenizer)`, if known: spares reading all weights.

    Raises ConfigError for a method that must be trained, and for a name that the tokenizer cannot spell: what stands for all
    that is unknown to it would be erased in the name's place.
    """
    tokenizer, text_encoder = required_tokenizer(text_encoder, tokenizer), text_encoder_of(text_encoder)
    chosen = methods.get(method)
    if not isinstance(chosen, TrainingFree):
        free = ", ".join(name for name, each in methods.METHODS.items() if isinstance(each, TrainingFree))
        raise ConfigError(f"{method} must be trained; without training there are {free}")
    settings = config_of(chosen.config_type, config)
    require(settings.gamma != "auto", "gamma", settings.gamma, "a number: without pairs there is nothing to calibrate it by")
    require(not settings.gate, "gate", settings.gate, "off: without pairs there is nothing to fit it to")
    encoder = PromptEncoder(text_encoder, tokenizer, max_length, settings.padding)
    _check_spelling(encoder, concept)
    with evaluating(text_encoder):
        fitted = chosen.fit_names(concept, encoder, settings)
    return Eraser.build(
        ArtefactConfig(
            format_version=artefact.FORMAT_VERSION,
            method=method,
            concept=concept.name,
            synonyms=concept.synonyms,
            keep=concept.keep,
            description=concept.description,
            encoder=identity or encoders.identity(text_encoder, tokenizer),
            layer=fitted.layer,
            strength=float(settings.gamma),
            minimum_strength=None,
            presence=None,
            gate=None,
            parameters=fitted.parameters,
            recipe=asdict(settings),
            data={},
            seed=0,
        ),
        fitted.tensors,
    )


def _check_spelling(encoder: PromptEncoder, concept: Concept) -> None:
    unknown = encoder.tokenizer.unk_token_id
    for name, ids in zip(concept.names, encoder.token_ids(concept.names), strict=True):
        if unknown is not None and unknown in ids:
            raise ConfigError(f"the model's tokenizer cannot spell {name!r}: name the concept in letters that it knows")
