"""Sentences for phrases to stand in, with and without: `frames.toml`. The splits share no frame, place or filler."""

from __future__ import annotations

import random
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from erasers.errors import PairsError
from erasers.testbed.subjects import Kind

Part = Literal["train", "validation", "test"]
_ATTEMPTS_PER_SCENE = 50


class Scene(NamedTuple):
    frame: str
    without: str

    def showing(self, phrase: str) -> str:
        return self.frame.replace("{thing}", phrase)


def scenes(kind: Kind, part: Part, n: int, seed: int) -> list[Scene]:
    """`n` different ones, frames in turn."""
    split = frames()[kind][part]
    rng = random.Random(seed)  # noqa: S311 - it must repeat
    found: dict[str, Scene] = {}
    for attempt in range(n * _ATTEMPTS_PER_SCENE):
        if len(found) == n:
            break
        frame, without = split["frames"][attempt % len(split["frames"])]
        place, other = rng.choice(split["places"]), rng.choice(split["others"])
        scene = Scene(*(text.replace("{place}", place).replace("{other}", other) for text in (frame, without)))
        found.setdefault(scene.frame, scene)
    if len(found) < n:
        raise PairsError(f"the {part} frames of {kind} yield only {len(found)} different scenes, not {n}; ask for fewer")
    return list(found.values())


@cache
def frames() -> dict[str, Any]:
    """By kind and part."""
    return tomllib.loads(Path(__file__).with_name("frames.toml").read_text(encoding="utf-8"))


@cache
def unrelated(part: Literal["validation", "test"]) -> tuple[str, ...]:
    return tuple(tomllib.loads(Path(__file__).with_name("unrelated.toml").read_text(encoding="utf-8"))[part])
