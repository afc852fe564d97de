"""The scene of a prompt: what it asks for beside a concept, and how much of that frames still show.

An eraser may take out its concept and change the rest of the same prompt with it. Prompts without the concept cannot show
that; this is measured on prompts with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

Part = Literal["background", "motion", "style", "objects"]
PARTS: tuple[Part, ...] = get_args(Part)


@dataclass(frozen=True)
class WantedScene:
    """What a prompt asks for beside the concept. None, or no objects: it asks for nothing of the kind."""

    background: str | None = None
    motion: str | None = None
    """Of a clip: ask for it only where something moves that is not erased."""
    style: str | None = None
    objects: tuple[str, ...] = ()

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for part in PARTS if getattr(self, part))


@dataclass(frozen=True)
class SeenScene:
    """One clip beside its `WantedScene`: shares of its frames."""

    parts: Mapping[Part, float]
    """By part that is asked for."""
    whole: float
    """Every part is as asked."""
    unrequested: float | None = None
    """Another object is seen than those that the prompt names. None: the detector cannot tell."""
    residue: float | None = None
    """Something stands before the background, whatever it is. None: the detector cannot tell, or an object should."""


class PartNumbers(TypedDict):
    origin: float
    erased: float
    kept: float | None
    clips: int


class SceneNumbers(TypedDict, total=False):
    scene_origin_rate: float
    """prompts with the concept, no eraser: everything else that they ask for is there"""
    scene_rate: float
    """the same, eraser on"""
    scene_kept: float
    """scene_rate relative to scene_origin_rate"""
    scene_parts: dict[Part, PartNumbers]
    scene_clips: int
    unrequested_origin_rate: float
    """an object that the prompt does not name is seen, no eraser"""
    unrequested_rate: float
    """the same, eraser on: what the detector names in the erased object's place"""
    residue_rate: float
    """eraser on: something stands where nothing was left to draw, whether or not the detector has a name for it"""


def kept(origin: float, erased: float) -> float | None:
    """What is there with the eraser, relative to what the origin shows. None where the origin shows nothing."""
    return round(erased / origin, 4) if origin else None


def scene_numbers(origin: Sequence[SeenScene], erased: Sequence[SeenScene]) -> SceneNumbers:
    """Over clips of the same prompts and seeds, in the same order. Empty without clips that ask for a scene."""
    pairs = [(before, after) for before, after in zip(origin, erased, strict=True) if before.parts]
    if not pairs:
        return SceneNumbers()
    origin_rate, rate = (_mean([scene.whole for scene in side]) for side in zip(*pairs, strict=True))
    numbers = SceneNumbers(
        scene_origin_rate=origin_rate,
        scene_rate=rate,
        scene_parts={part: found for part in PARTS if (found := _part(part, pairs)) is not None},
        scene_clips=len(pairs),
    )
    if (share := kept(origin_rate, rate)) is not None:
        numbers["scene_kept"] = share
    named = [(b.unrequested, a.unrequested) for b, a in pairs if b.unrequested is not None and a.unrequested is not None]
    if named:
        numbers["unrequested_origin_rate"] = _mean([before for before, _ in named])
        numbers["unrequested_rate"] = _mean([after for _, after in named])
    if residue := [after.residue for _, after in pairs if after.residue is not None]:
        numbers["residue_rate"] = _mean(residue)
    return numbers


def _part(part: Part, pairs: Sequence[tuple[SeenScene, SeenScene]]) -> PartNumbers | None:
    shares = [(before.parts[part], after.parts[part]) for before, after in pairs if part in before.parts]
    if not shares:
        return None
    origin, erased = map(_mean, zip(*shares, strict=True))
    return PartNumbers(origin=origin, erased=erased, kept=kept(origin, erased), clips=len(shares))


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4)
