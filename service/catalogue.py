"""The models served here, as the workers that loaded them say: the model cards in the artifact store.

A card outlives its worker, so that requests are accepted while workers restart. Cards are read again after a few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from pydantic import ValidationError

from service.errors import MissingError, UnavailableError
from service.token_counts import TokenCounts
from workers.contract import Detectors, ModelCard, detectors_key, model_key
from workers.store.artifacts import ArtifactMissing, ArtifactStore, InvalidKey

_FRESH_SECONDS = 3.0
Value = TypeVar("Value")


class _Fresh(Generic[Value]):
    """What was read in the last few seconds, by model."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read: dict[str, tuple[float, Value]] = {}

    def get(self, model: str) -> Value | None:
        with self._lock:
            read_at, value = self._read.get(model, (float("-inf"), None))
        return value if self._clock() - read_at < _FRESH_SECONDS else None

    def put(self, model: str, value: Value) -> Value:
        with self._lock:
            self._read[model] = (self._clock(), value)
        return value


class Catalogue:
    def __init__(self, store: ArtifactStore, *, default_model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.default_model = default_model
        self.tokens = TokenCounts(store, clock=clock)
        self._store = store
        self._cards: _Fresh[ModelCard] = _Fresh(clock)
        self._detectors: _Fresh[Mapping[str, str]] = _Fresh(clock)

    def card(self, model: str | None) -> ModelCard:
        """The card of a model, or of the default one. Raises `model_not_found` or `model_not_ready`."""
        wanted = model or self.default_model
        if (fresh := self._cards.get(wanted)) is not None:
            return fresh
        try:
            card = ModelCard.model_validate_json(self._store.get(model_key(wanted)))
        except (ArtifactMissing, InvalidKey):
            raise self._no_card(wanted) from None
        except ValidationError:
            message = f"the card of model {wanted!r} was written by another version: restart its worker"
            raise UnavailableError("model_not_ready", message, param="model") from None
        if card.id != wanted:
            raise self._no_card(wanted)
        return self._cards.put(wanted, card)

    def detectors(self, model: str) -> Mapping[str, str]:
        """Who can look for what in the frames of a model that has a card, by the name of the concept, as its worker said."""
        if (fresh := self._detectors.get(model)) is not None:
            return fresh
        told: Mapping[str, str]
        try:
            told = Detectors.model_validate_json(self._store.get(detectors_key(model))).detectors
        except (ArtifactMissing, ValidationError):  # of a worker of another version
            told = {}
        return self._detectors.put(model, told)

    def cards(self) -> list[ModelCard]:
        """All readable cards, by id."""
        found = []
        for key in self._store.list("models"):
            try:
                found.append(ModelCard.model_validate_json(self._store.get(key)))
            except (ArtifactMissing, ValidationError):
                continue
        return sorted(found, key=lambda card: card.id)

    def _no_card(self, model: str) -> MissingError | UnavailableError:
        if model == self.default_model:
            message = f"no worker has loaded {model!r} yet: start one with `clearway worker`, or wait while it loads"
            return UnavailableError("model_not_ready", message, param="model", retry_after_seconds=5)
        known = ", ".join(repr(card.id) for card in self.cards()) or "none yet"
        return MissingError("model_not_found", f"no model {model!r} is served here; there is: {known}", param="model")
