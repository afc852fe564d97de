"""Metrics of clips, origin beside erased. They run as a process of their own, `python -m workers.quality`: they need torch."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from service.evaluation.errors import QualityFailed


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
    command = [sys.executable, "-m", "workers.quality", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise QualityFailed(done.stderr.strip()[-2000:])
    return done.stdout
