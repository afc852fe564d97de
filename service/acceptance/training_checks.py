"""What can be known of a training before it runs: that its config, its names or its pairs would make the trainer refuse it.

Configs and prompts are checked by the library's own rules, so that the gateway refuses what a trainer would, in the same words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from erasers.concepts import Concept
from erasers.errors import ConfigError, PairsError
from erasers.methods.configs import CONFIGS, check_name, config_of
from erasers.pairs.prompts import Pairs
from service.errors import RequestError
from service.schemas.erasers import Pair
from workers.contract import ModelCard, PromptPair


def check_config(method: str, config: Mapping[str, Any], card: ModelCard) -> None:
    """Raises `unknown_method`, or `invalid_config` with the option at fault."""
    try:
        check_name(method)
    except ConfigError as error:
        raise RequestError("unknown_method", str(error), param="method") from None
    try:
        config_of(CONFIGS[method], config).check_layer(card.encoder_layers)
    except ConfigError as error:
        param = "config" if error.option is None else f"config.{error.option}"
        raise RequestError("invalid_config", f"config of {method}: {error}", param=param) from None


def check_prompts(
    concept: str,
    *,
    synonyms: Sequence[str],
    keep: Sequence[str],
    pairs: Sequence[Pair | PromptPair] | None,
    seed: int,
) -> None:
    """Raises `invalid_concept` for names without a letter or digit, and `invalid_pairs` with the lines at fault: positives that
    do not name the concept, negatives that do, prompts that come twice, or too few to be split."""
    for param, names in (("concept", [concept]), ("synonyms", synonyms), ("keep", keep)):
        _check_names(names, param)
    if pairs is None:
        return
    named = Concept(concept, synonyms=tuple(synonyms))
    try:
        Pairs(named, tuple(pair.positive for pair in pairs), tuple(pair.negative for pair in pairs)).split(seed)
    except PairsError as error:
        raise RequestError("invalid_pairs", str(error), param="pairs") from None


def _check_names(names: Sequence[str], param: str) -> None:
    for name in names:
        try:
            Concept(name)
        except ConfigError as error:
            raise RequestError("invalid_concept", str(error), param=param) from None
