"""What is evaluated: which version of each eraser, on which model, and the clips that this takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.client import ApiError, Client
from service.evaluation.errors import ModelNotServed, NotErasable
from service.evaluation.prompts import PromptLine
from service.evaluation.scene import SceneLine


@dataclass(frozen=True)
class Pin:
    """One eraser version. Pinned before the first clip, so that an activation meanwhile does not mix two versions."""

    concept: str
    version: int
    digest: str

    def __str__(self) -> str:
        return f"{self.concept}@{self.version}"


@dataclass(frozen=True)
class Clip:
    """One video to make. `name` is a digest of everything that determines it: a finished clip is found again by it."""

    line: PromptLine
    seed: int
    pins: tuple[Pin, ...]
    """Empty: origin, the model without erasers."""
    name: str

    def request(self, model: str) -> dict[str, Any]:
        return {"prompt": self.line.prompt, "seed": self.seed, "model": model, "erase": [str(pin) for pin in self.pins]}


@dataclass(frozen=True)
class Plan:
    model: dict[str, Any]
    """The model's card, as the service tells it."""
    pins: tuple[Pin, ...]
    lines: tuple[PromptLine, ...]
    seeds: tuple[int, ...]

    def clips(self, *, erased: bool) -> list[Clip]:
        """One per prompt and seed, in that order; the same order with and without erasers."""
        pins = self.pins if erased else ()
        return [self._clip(line, seed, pins) for line in self.lines for seed in self.seeds]

    def scenes(self, of_lines: Sequence[SceneLine | None], names: Mapping[str, str]) -> list[SceneLine | None]:
        """One per clip, in the order of `clips`: that of its line, with the line's objects that no pin erases. `names` turns
        the words of the prompt file into objects."""
        erased = {pin.concept for pin in self.pins}
        asked: list[SceneLine | None] = []
        for line, scene in zip(self.lines, of_lines, strict=True):
            kept = tuple(dict.fromkeys(names[word] for word in line.objects if not erased & {word, names[word]}))
            asked += [scene and replace(scene, objects=kept)] * len(self.seeds)
        return asked

    def _clip(self, line: PromptLine, seed: int, pins: tuple[Pin, ...]) -> Clip:
        determined_by = [self.model, line.prompt, seed, sorted(pin.digest for pin in pins)]
        digest = hashlib.sha256(json.dumps(determined_by, sort_keys=True).encode()).hexdigest()
        return Clip(line, seed, pins, digest[:32])


def make_plan(client: Client, erase: Sequence[str], lines: Sequence[PromptLine], seeds: Sequence[int], model: str | None) -> Plan:
    """Resolves names against the service. `erase` items are `concept`, for the active version, or `concept@version`."""
    card = _card(client, model)
    pins = tuple(_pin(client, item, card["encoder_fingerprint"]) for item in erase)
    return Plan(card, pins, tuple(lines), tuple(dict.fromkeys(seeds)))


def _card(client: Client, model: str | None) -> dict[str, Any]:
    models = client.models()
    for card in models:
        if card["id"] == model or (model is None and card["default"]):
            return {name: value for name, value in card.items() if name not in ("default", "ready")}  # those come and go
    raise ModelNotServed(model or "the service's default", ", ".join(card["id"] for card in models) or "none yet")


def _pin(client: Client, item: str, encoder_fingerprint: str) -> Pin:
    concept, _, wanted = item.partition("@")
    try:
        versions = client.eraser(concept)["versions"]
    except ApiError as error:
        raise NotErasable(concept, str(error)) from error
    for version in versions:
        if version["status"] != "active" or version["encoder_fingerprint"] != encoder_fingerprint:
            continue  # the service refuses it, too
        if not wanted or str(version["version"]) == wanted:
            return Pin(version["concept"], version["version"], version["digest"])
    there = ", ".join(f"@{version['version']} ({version['status']})" for version in versions)
    raise NotErasable(item, f"no such active version for this model; there is {there}")
