"""Metrics of clips, origin beside erased, by `python -m workers.quality`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.evaluation.errors import QualityFailed
from service.evaluation.program import run


def check_quality() -> dict[str, str]:
    """The metrics that would not be measured here, and why. `QualityFailed` where settings are wrong. Loads no weights."""
    lacking: dict[str, str] = json.loads(_run("check"))["not_measured"]
    return lacking


def measure_quality(videos: Sequence[Path], prompts: Sequence[str]) -> list[dict[str, float]]:
    """One answer per video, in order."""
    with tempfile.TemporaryDirectory() as scratch:
        clips, out = Path(scratch) / "clips.json", Path(scratch) / "quality.json"
        pairs = zip(videos, prompts, strict=True)
        clips.write_text(json.dumps([{"video": str(video), "prompt": prompt} for video, prompt in pairs]))
        _run("measure", "--clips", str(clips), "--out", str(out))
        measured: list[dict[str, float]] = json.loads(out.read_bytes())
        return measured


def quality_report(
    origin: Sequence[dict[str, float]], erased: Sequence[dict[str, float]], not_measured: dict[str, str]
) -> dict[str, Any]:
    """Means over the clips that have a value; the same prompts and seeds on both sides."""
    names = dict.fromkeys(name for clip in (*origin, *erased) for name in clip)
    return {
        "metrics": {name: {"origin": _mean(name, origin), "erased": _mean(name, erased)} for name in names},
        "not_measured": not_measured,
    }


def _mean(name: str, clips: Sequence[dict[str, float]]) -> float:
    values = [clip[name] for clip in clips if name in clip]
    return round(sum(values) / len(values), 4)


def _run(*arguments: str) -> str:
    return run("workers.quality", *arguments, failure=QualityFailed)
