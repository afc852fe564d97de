"""Prompts that the model cannot take whole: refused before they are accepted, since nothing is ever cut off."""

from __future__ import annotations

from collections.abc import Sequence

from service.errors import RequestError
from service.gateway import Gateway
from service.schemas.erasers import Pair
from service.schemas.generations import GenerateRequest
from workers.contract import ModelCard

_LINES_SHOWN = 20


def check_generation_length(gateway: Gateway, request: GenerateRequest, card: ModelCard) -> None:
    """Raises `prompt_too_long` for a prompt or negative prompt with more tokens than the model takes."""
    texts = {"prompt": request.prompt, "negative_prompt": request.negative_prompt}
    counts = gateway.catalogue.tokens.of(card, list(texts.values()))
    for name, count in zip(texts, counts or (), strict=False):
        if count > card.max_prompt_tokens:
            message = f"{name} has {count} tokens; {card.id} takes {card.max_prompt_tokens} at most: shorten it"
            raise RequestError("prompt_too_long", message, param=name)


def check_pairs_length(gateway: Gateway, pairs: Sequence[Pair] | None, card: ModelCard) -> None:
    """Raises `invalid_pairs` with the lines whose prompts have more tokens than the model takes."""
    texts = [text for pair in pairs or () for text in (pair.positive, pair.negative)]
    counts = gateway.catalogue.tokens.of(card, texts) if texts else None
    long = [(index, count) for index, count in enumerate(counts or ()) if count > card.max_prompt_tokens]
    if long:
        lines = [
            f"\n  line {index // 2 + 1}: the {'negative' if index % 2 else 'positive'} prompt has {count} tokens"
            for index, count in long[:_LINES_SHOWN]
        ]
        more = f"\n  … and {len(long) - _LINES_SHOWN} more" if len(long) > _LINES_SHOWN else ""
        message = f"{len(long)} prompts are too long; {card.id} takes {card.max_prompt_tokens} tokens at most:"
        raise RequestError("invalid_pairs", message + "".join(lines) + more, param="pairs")
