"""Rates from counts. A rate is the share of frames that show an object, over the clips whose line lists the object.

`scene_kept` is about the lines with a scene: the share of frames in which everything else that the line asks for is there, its
background, motion, style and the objects that are not erased.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from service.evaluation.detection import Seen
from service.evaluation.plan import Plan


def make_report(plan: Plan, names: Mapping[str, str], origin: Sequence[Seen], erased: Sequence[Seen]) -> dict[str, Any]:
    """`origin` and `erased` are in the order of `Plan.clips`; `names` turns the words of the prompt file into objects."""
    lines = [line for line in plan.lines for _ in plan.seeds]
    listed = [{names[word] for word in line.objects} for line in lines]
    objects = {name: _rates(name, listed, origin, erased) for name in sorted(set().union(*listed))}
    return {
        "objects": objects,
        "scene_kept": _scene_kept(origin, erased),
        "erase": [str(pin) for pin in plan.pins],
        "digests": {str(pin): pin.digest for pin in plan.pins},
        "seeds": list(plan.seeds),
        "prompts": len(plan.lines),
        "model": plan.model["id"],
        "encoder_fingerprint": plan.model["encoder_fingerprint"],
        "machine": {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()},
    }


def _rates(name: str, listed: Sequence[set[str]], origin: Sequence[Seen], erased: Sequence[Seen]) -> dict[str, float | int]:
    clips = [index for index, names in enumerate(listed) if name in names]
    return {
        "origin_rate": _rate(name, [origin[index] for index in clips]),
        "erased_rate": _rate(name, [erased[index] for index in clips]),
        "n": len(clips),
        "frames": sum(origin[index].frames for index in clips),
    }


def _rate(name: str, clips: Sequence[Seen]) -> float:
    return round(sum(clip.counts[name] for clip in clips) / sum(clip.frames for clip in clips), 4)


def _scene_kept(origin: Sequence[Seen], erased: Sequence[Seen]) -> dict[str, Any] | None:
    """None where no line has a scene."""
    sides = [[(clip.scene, clip.frames) for clip in side if clip.scene is not None] for side in (origin, erased)]
    if not sides[0]:
        return None
    parts = dict.fromkeys(part for scene, _ in sides[0] for part in scene.parts)
    return {
        **_kept(*([(scene.whole, frames) for scene, frames in side] for side in sides)),
        "parts": {
            part: _kept(*([(scene.parts[part], frames) for scene, frames in side if part in scene.parts] for side in sides))
            for part in parts
        },
    }


def _kept(origin: Sequence[tuple[int, int]], erased: Sequence[tuple[int, int]]) -> dict[str, float | int | None]:
    """Of (frames as asked, frames) of each clip. `kept` is relative to origin, and None where the origin has nothing of it."""
    before, after = (sum(count for count, _ in side) / sum(frames for _, frames in side) for side in (origin, erased))
    return {
        "origin": round(before, 4),
        "erased": round(after, 4),
        "kept": round(after / before, 4) if before else None,
        "n": len(origin),
    }
