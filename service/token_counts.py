"""How many tokens a text has, as the model's own tokenizer counts, so that the gateway knows which prompts are too long.

A worker puts its tokenizer into the artifact store, by the fingerprint of the text encoder, which covers it. Where there is none,
nothing is counted here, and the worker refuses the prompt as before.
"""

from __future__ import annotations

import html
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workers.contract import ModelCard, tokenizer_key
from workers.store.artifacts import ArtifactMissing, ArtifactStore

if TYPE_CHECKING:
    from tokenizers import Tokenizer

logger = logging.getLogger(__name__)

MAX_BYTES = 64 * 2**20
"""Of a tokenizer's file: UMT5's is 17 MB."""
_MAX_HELD = 4
_MISS_SECONDS = 3.0


class TokenCounts:
    def __init__(self, store: ArtifactStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._held: OrderedDict[str, Tokenizer] = OrderedDict()
        self._missed: dict[str, float] = {}

    def of(self, card: ModelCard, texts: Sequence[str]) -> list[int] | None:
        """Tokens of each text, special ones included; None where the model's tokenizer is not to be had.

        Some pipelines resolve HTML entities and fold white space before they count: the smaller of both counts is returned, so
        that no text is refused that fits.
        """
        tokenizer = self._tokenizer(card.encoder_fingerprint)
        if tokenizer is None:
            return None
        cleaned = [" ".join(html.unescape(html.unescape(text)).split()) for text in texts]
        encoded = tokenizer.encode_batch([*texts, *cleaned])
        counts = [len(encoding.ids) for encoding in encoded]
        return [min(pair) for pair in zip(counts[: len(texts)], counts[len(texts) :], strict=True)]

    def _tokenizer(self, fingerprint: str) -> Tokenizer | None:
        with self._lock:
            if fingerprint in self._held:
                self._held.move_to_end(fingerprint)
                return self._held[fingerprint]
            if self._clock() - self._missed.get(fingerprint, float("-inf")) < _MISS_SECONDS:
                return None
            loaded = self._load(fingerprint)
            if loaded is None:
                self._missed = {fingerprint: self._clock()}
                return None
            self._held[fingerprint] = loaded
            if len(self._held) > _MAX_HELD:
                self._held.popitem(last=False)
            return loaded

    def _load(self, fingerprint: str) -> Tokenizer | None:
        from tokenizers import Tokenizer

        key = tokenizer_key(fingerprint)
        try:
            if (size := self._store.stat(key).bytes) > MAX_BYTES:
                logger.warning("%s has %d bytes, more than the %d that are read: prompts are not counted", key, size, MAX_BYTES)
                return None
            content = self._store.get(key)
        except ArtifactMissing:  # of a worker that has not started since this version
            return None
        try:
            tokenizer = Tokenizer.from_buffer(content)
        except Exception as error:  # noqa: BLE001 - what the parser raises for any file that it cannot use; the worker counts again
            logger.warning("%s cannot be read: %s", key, str(error)[:200])
            return None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer
