"""What the detector sees in clips, by `python -m workers.detect`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.evaluation.errors import DetectionFailed
from service.evaluation.program import run


@dataclass(frozen=True)
class Seen:
    """One clip: its frames, and in how many of them each object was seen."""

    frames: int
    counts: Mapping[str, int]


def canonical_names(objects: Iterable[str]) -> dict[str, str]:
    """Each name → the detector's name of the object; `DetectionFailed` names those that it cannot see. Loads no model."""
    names = sorted(set(objects))
    if not names:
        return {}
    answer: dict[str, str] = json.loads(_detect("names", "--objects", *names))
    return answer


def detect(videos: Sequence[Path], objects: Sequence[str], *, stills: Path) -> list[Seen]:
    """One answer per video, in order. Writes the middle frame of each to `stills`, under its name, as PNG."""
    stills.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        listed, out = Path(scratch) / "videos.txt", Path(scratch) / "seen.json"
        listed.write_text("".join(f"{video}\n" for video in videos))
        _detect("videos", "--videos", f"@{listed}", "--objects", *objects, "--out", str(out), "--stills", str(stills))
        return [Seen(clip["frames"], clip["objects"]) for clip in json.loads(out.read_bytes())]


def _detect(*arguments: str) -> str:
    return run("workers.detect", *arguments, failure=DetectionFailed)
