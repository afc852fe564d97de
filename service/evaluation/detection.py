"""What the detector sees in clips, by `python -m workers.detect`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.evaluation.errors import DetectionFailed
from service.evaluation.program import run
from service.evaluation.scene import SceneLine, SceneSeen


@dataclass(frozen=True)
class Seen:
    """One clip: its frames, in how many of them each object was seen, and its scene, where its line has one."""

    frames: int
    counts: Mapping[str, int]
    scene: SceneSeen | None = None


def canonical_names(objects: Iterable[str]) -> dict[str, str]:
    """Each name → the detector's name of the object; `DetectionFailed` names those that it cannot see. Loads no model."""
    names = sorted(set(objects))
    if not names:
        return {}
    answer: dict[str, str] = json.loads(_detect("names", "--objects", *names))
    return answer


def detect(
    videos: Sequence[Path], objects: Sequence[str], *, scenes: Sequence[SceneLine | None], stills: Path
) -> list[Seen]:
    """One answer per video, in order; `scenes` are theirs. Writes the middle frame of each as PNG to `stills`, under its name."""
    stills.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        listed, asked, out = (Path(scratch) / name for name in ("videos.txt", "scenes.json", "seen.json"))
        listed.write_text("".join(f"{video}\n" for video in videos))
        asked.write_text(json.dumps([scene and scene.as_json() for scene in scenes]))
        files = ("--videos", f"@{listed}", "--scenes", str(asked), "--out", str(out), "--stills", str(stills))
        _detect("videos", *files, "--objects", *objects)
        return [
            Seen(clip["frames"], clip["objects"], clip["scene"] and SceneSeen(**clip["scene"]))
            for clip in json.loads(out.read_bytes())
        ]


def _detect(*arguments: str) -> str:
    return run("workers.detect", *arguments, failure=DetectionFailed)
