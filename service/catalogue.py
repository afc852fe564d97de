"""The models served here, as the workers that loaded them say: the model cards in the artifact store.

A card outlives its worker, so that requests are accepted while workers restart. Cards are read again after a few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from pydantic import ValidationError

from service.errors import MissingError, UnavailableError
from workers.artifacts import ArtifactMissing, ArtifactStore, InvalidKey
from workers.contract import Detectors, ModelCard, detectors_key, model_key

_FRESH_SECONDS = 3.0


class Catalogue:
    def __init__(self, store: ArtifactStore, *, default_model: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.default_model = default_model
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._detectors: dict[str, tuple[float, Mapping[str, str]]] = {}
        self._cards: dict[str, tuple[float, ModelCard]] = {}

    def card(self, model: str | None) -> ModelCard:
        """The card of a model, or of the default one. Raises `model_not_found` or `model_not_ready`."""
        wanted = model or self.default_model
        with self._lock:
            read_at, card = self._cards.get(wanted, (float("-inf"), None))
        if card is not None and self._clock() - read_at < _FRESH_SECONDS:
            return card
        try:
            card = ModelCard.model_validate_json(self._store.get(model_key(wanted)))
        except (ArtifactMissing, InvalidKey):
            raise self._no_card(wanted) from None
        except ValidationError:
            message = f"the card of model {wanted!r} was written by another version: restart its worker"
            raise UnavailableError("model_not_ready", message, param="model") from None
        if card.id != wanted:
            raise self._no_card(wanted)
        with self._lock:
            self._cards[wanted] = (self._clock(), card)
        return card

    def detectors(self, model: str) -> Mapping[str, str]:
        """Who can look for what in the frames of a model that has a card, by the name of the concept, as its worker said."""
        with self._lock:
            read_at, told = self._detectors.get(model, (float("-inf"), {}))
        if self._clock() - read_at < _FRESH_SECONDS:
            return told
        try:
            told = Detectors.model_validate_json(self._store.get(detectors_key(model))).detectors
        except (ArtifactMissing, ValidationError):  # of a worker of another version
            told = {}
        with self._lock:
            self._detectors[model] = (self._clock(), told)
        return told

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
