"""The scene of a line of the prompt file: what its videos should show beside what is erased.

`{"background": "snow", "motion": "down", "style": null}`: a part that is null or left out is not asked for.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.evaluation.errors import DetectionFailed
from service.evaluation.program import run

FIELDS = ("background", "motion", "style")


@dataclass(frozen=True)
class SceneLine:
    """What a line asks for, in the words of the detector. `objects`: those of the line that are not erased."""

    background: str | None = None
    motion: str | None = None
    style: str | None = None
    objects: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in FIELDS}, "objects": list(self.objects)}


def parse_scene(value: object) -> SceneLine | None:
    """The field `scene` of a line; None where it is null or left out. Raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError('"scene" must be an object like {"background": "snow", "motion": null, "style": null}')
    if unknown := sorted(value.keys() - set(FIELDS)):
        raise ValueError(f'"scene" has the unknown field {", ".join(unknown)}; it takes {", ".join(FIELDS)}')
    if not all(part is None or (isinstance(part, str) and part.strip()) for part in value.values()):
        raise ValueError('each part of "scene" is a text that is not empty, or null')
    if all(part is None for part in value.values()):
        raise ValueError('"scene" asks for nothing: give a background, a motion or a style, or leave it out')
    return SceneLine(**{name: part.strip().lower() for name, part in value.items() if part is not None})


def canonical_scenes(scenes: Sequence[SceneLine | None]) -> list[SceneLine | None]:
    """In the words of the detector; `DetectionFailed` names what it cannot see. Loads no model."""
    if not any(scenes):
        return list(scenes)
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "scenes.json"
        file.write_text(json.dumps([scene and scene.as_json() for scene in scenes]))
        answer: list[dict[str, Any] | None] = json.loads(run("workers.detect", "scenes", str(file), failure=DetectionFailed))
    return [None if scene is None else SceneLine(**{**scene, "objects": tuple(scene["objects"])}) for scene in answer]


@dataclass(frozen=True)
class SceneSeen:
    """One clip: in how many frames everything is as asked, and each part."""

    whole: int
    parts: Mapping[str, int]
