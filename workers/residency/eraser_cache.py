"""Erasers that were fetched, verified and bound to this process's text encoder, kept by digest while memory allows.

An eraser comes out of here whole and right, or an error does. Nobody downstream has to ask again.
"""

from __future__ import annotations

import logging
import re
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import torch

import erasers
from erasers.artefact import CONFIG_FILE, TENSORS_FILE
from erasers.errors import ArtefactError
from workers.contract import EraserPin, eraser_key
from workers.errors import EraserCorrupt, EraserIncompatible, EraserUnavailable
from workers.pipelines.base import Stack
from workers.store.artifacts import ArtifactMissing, ArtifactStore

logger = logging.getLogger(__name__)


class EraserCache:
    def __init__(self, store: ArtifactStore, *, fingerprint: str, device: torch.device, max_bytes: int) -> None:
        self._store = store
        self._fingerprint = fingerprint
        self._device = device
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, erasers.Eraser] = OrderedDict()

    def stack(self, pins: Sequence[EraserPin]) -> Stack:
        return Stack(tuple(self.get(pin) for pin in pins), tuple(pin.strength for pin in pins))

    def get(self, pin: EraserPin) -> erasers.Eraser:
        """Raises `EraserUnavailable`, `EraserCorrupt` or `EraserIncompatible`."""
        eraser = self._kept.get(pin.digest) or self._fetch(pin)
        self._check(pin, eraser)
        self._kept[pin.digest] = eraser
        self._kept.move_to_end(pin.digest)
        self._shrink()
        return eraser

    def clear(self) -> None:
        self._kept.clear()

    @property
    def bytes_kept(self) -> int:
        return sum(tensor.nbytes for eraser in self._kept.values() for tensor in eraser.tensors.values())

    def _shrink(self) -> None:
        """The least recently used go first; what was asked for last may alone be larger than the limit."""
        while self.bytes_kept > self._max_bytes and self._kept:
            digest, _ = self._kept.popitem(last=False)
            logger.info("eraser %s leaves the cache", digest[:12])

    def _fetch(self, pin: EraserPin) -> erasers.Eraser:
        # Copied first, so that the bytes that are verified are the bytes that are read.
        with tempfile.TemporaryDirectory(prefix="clearway-eraser-") as copy:
            for name in (CONFIG_FILE, TENSORS_FILE):
                try:
                    Path(copy, name).write_bytes(self._store.get(eraser_key(pin.digest, name)))
                except ArtifactMissing as missing:
                    raise EraserUnavailable(f"{_named(pin)} is not in the artifact store: {name} is missing") from missing
            try:
                eraser = erasers.load(copy, expected_digest=pin.digest)
            except ArtefactError as error:
                message = str(error).replace(copy, "the stored artefact")
                raise EraserCorrupt(f"{_named(pin)} is not what was pinned: {message}") from error
        return eraser.to(self._device, torch.float32)

    def _check(self, pin: EraserPin, eraser: erasers.Eraser) -> None:
        if eraser.config.encoder.fingerprint != self._fingerprint:
            raise EraserIncompatible(
                f"{_named(pin)} was made for the text encoder {eraser.config.encoder.fingerprint[:12]}…, this worker holds "
                f"{self._fingerprint[:12]}…: train it for this model"
            )
        if _normal(eraser.config.concept) != _normal(pin.concept):
            raise EraserCorrupt(f"{_named(pin)} takes out {eraser.config.concept!r}: the registry points to the wrong artefact")


def _named(pin: EraserPin) -> str:
    return f"the eraser of {pin.concept!r}, version {pin.version} ({pin.digest[:12]}…)"


def _normal(concept: str) -> str:
    return re.sub(r"[\s_-]+", " ", concept).strip().casefold()
