"""From a concept's names to an eraser, by a method that needs no training: no pairs, no calibration, no evaluation.

It stands in where nobody trained an eraser. How well it erases is not known beforehand; whether it erased a prompt is measured
as for any eraser, by a reference that is fitted to template prompts with and without the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import Tensor

from erasers import artefact, encoders, methods
from erasers.arguments import required_tokenizer, text_encoder_of
from erasers.artefact import ArtefactConfig, EncoderIdentity, Presence
from erasers.concepts import Concept
from erasers.encoding import PromptEncoder, evaluating
from erasers.eraser import Eraser
from erasers.errors import ConfigError
from erasers.methods.base import TrainingFree
from erasers.methods.config import MethodConfig, config_of
from erasers.options import require
from erasers.pairs import Pairs, templates
from erasers.presence import TENSOR, fit_presence

REFERENCE_PAIRS = 120
"""Template pairs that the concept's reference is fitted to."""


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
        presence = None if chosen.stage == "negative_prompt" else _presence(encoder, concept)
    tensors = fitted.tensors if presence is None else fitted.tensors | {TENSOR: presence[0]}
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
            presence=None if presence is None else presence[1],
            gate=None,
            parameters=fitted.parameters,
            recipe=asdict(settings),
            data={},
            seed=0,
        ),
        tensors,
    )


def _presence(encoder: PromptEncoder, concept: Concept) -> tuple[Tensor, Presence] | None:
    """None where too few of the template prompts fit the encoder, or the names cannot be read from them.

    A worker makes such an eraser while a request waits, so there are few pairs: a second or two on a CPU.
    """
    drawn = templates(concept, REFERENCE_PAIRS, seed=0)
    fitting = [pair for pair in zip(drawn.positive, drawn.negative, strict=True) if all(map(encoder.fits, pair))]
    if len(fitting) < REFERENCE_PAIRS // 2:
        return None
    parts = Pairs.unique(concept, fitting).split(seed=0)
    held_out = (parts.calibrate, parts.test)
    return fit_presence(
        positive=encoder.final_states(parts.train.positive),
        negative=encoder.final_states(parts.train.negative),
        held_out=encoder.final_states([prompt for part in held_out for prompt in part.positive]),
        absent=encoder.final_states([prompt for part in held_out for prompt in part.negative]),
    )


def _check_spelling(encoder: PromptEncoder, concept: Concept) -> None:
    unknown = encoder.tokenizer.unk_token_id
    for name, ids in zip(concept.names, encoder.token_ids(concept.names), strict=True):
        if unknown is not None and unknown in ids:
            raise ConfigError(f"the model's tokenizer cannot spell {name!r}: name the concept in letters that it knows")
