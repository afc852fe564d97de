"""Rates from counts. A rate is the share of frames that show an object, over the clips whose line lists the object."""

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
