"""Erasers that are made when they are asked for, of the names of concepts that have no trained one.

They are no versions of the registry: nobody evaluated or activated them, and the store does not have them. Equal names and
settings make equal erasers of one text encoder, so what was made is kept; each pipeline, and so each fingerprint, has its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import torch

import erasers
from erasers.errors import EraserError
from workers.contract import FallbackMethod, FallbackPin
from workers.errors import EraserUnavailable
from workers.pipelines.base import Stack, VideoPipeline

KEPT = 256
"""A few vectors each, of the size of one token's embedding."""


class Fallbacks:
    def __init__(self, pipeline: VideoPipeline) -> None:
        self._pipeline = pipeline
        self._made = lru_cache(KEPT)(self._make)

    def stack(self, pins: Sequence[FallbackPin]) -> Stack:
        return Stack(tuple(map(self.get, pins)), tuple(pin.strength for pin in pins))

    def get(self, pin: FallbackPin) -> erasers.Eraser:
        """Raises `EraserUnavailable`. Must not be called while a stack is attached to the encoder."""
        try:
            return self._made(pin.concept, pin.method, json.dumps(pin.settings, sort_keys=True))
        except EraserError as error:
            raise EraserUnavailable(f"{pin.method} cannot stand in for an eraser of {pin.concept!r}: {error}") from error

    def clear(self) -> None:
        self._made.cache_clear()

    def _make(self, concept: str, method: FallbackMethod, settings: str) -> erasers.Eraser:
        pipeline = self._pipeline
        made = erasers.from_names(
            pipeline.text_encoder,
            pipeline.tokenizer,
            erasers.Concept(concept),
            method=method,
            config={**json.loads(settings), "padding": pipeline.padding},
            max_length=pipeline.card().max_prompt_tokens,
            identity=pipeline.encoder_identity,
        )
        return made.to(pipeline.device, torch.float32)
