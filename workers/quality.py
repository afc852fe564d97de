"""`python -m workers.quality`: the metrics of `erasers.metrics` for MP4 files, as many as there are weights for.

    python -m workers.quality check                                     {"measured": ["temporal_flickering"], "not_measured": {…}}
    python -m workers.quality measure --clips clips.json --out quality.json

`clips.json` is a list of `{"video", "prompt"}`; `quality.json` a list in the same order of `{metric: value}`. A clip of one
frame has no value where frames are compared. `check` loads no weights, and says of each metric without them which setting to set.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from erasers.errors import JudgeError, WeightsError
from workers.settings import WorkerSettings

if TYPE_CHECKING:
    from torch import Tensor

    from erasers.metrics.encoders import ClipEncoder, DinoEncoder
    from workers.pipelines.base import Frames


class Clip:
    """One clip, whose features are computed once, however many metrics look at them."""

    def __init__(self, frames: Frames, prompt: str) -> None:
        self.frames, self.prompt = frames, prompt
        self._features: dict[ClipEncoder | DinoEncoder, Tensor] = {}

    def features(self, encoder: ClipEncoder | DinoEncoder) -> Tensor:
        """(T, d)"""
        if encoder not in self._features:
            self._features[encoder] = encoder.frames(self.frames)
        return self._features[encoder]


Metric = Callable[[Clip], float]

NEEDS = {
    "temporal_flickering": (),
    "subject_consistency": ("metric_dino",),
    "background_consistency": ("metric_clip_b32",),
    "clipsim": ("metric_clip_b32",),
    "aesthetic_quality": ("metric_clip_l14", "metric_aesthetic_head"),
}
"""Metrics, and the settings that say where their weights are."""
COMPARE_FRAMES = {"temporal_flickering", "subject_consistency", "background_consistency"}


def not_measured(settings: WorkerSettings) -> dict[str, str]:
    """The metrics that lack weights, and why."""
    lacking = {metric: [name for name in needed if getattr(settings, name) is None] for metric, needed in NEEDS.items()}
    return {metric: f"set {' and '.join(map(_variable, names))}" for metric, names in lacking.items() if names}


def check(settings: WorkerSettings) -> dict[str, object]:
    """Raises `JudgeError` for a setting that names nothing."""
    for name in sorted({name for needed in NEEDS.values() for name in needed}):
        path: Path | None = getattr(settings, name)
        if path is not None and not path.exists():
            raise WeightsError(f"{_variable(name)} is {str(path)!r}, where nothing is")
    lacking = not_measured(settings)
    return {"measured": [metric for metric in NEEDS if metric not in lacking], "not_measured": lacking}


def measure(clips: Sequence[dict[str, str]], settings: WorkerSettings) -> list[dict[str, float]]:
    from workers.detect import read_frames

    metrics = _load(settings)
    measured = []
    for each in clips:
        clip = Clip(read_frames(Path(each["video"])), each["prompt"])
        possible = {name: metric for name, metric in metrics.items() if len(clip.frames) > 1 or name not in COMPARE_FRAMES}
        measured.append({name: round(metric(clip), 4) for name, metric in possible.items()})
    return measured


def _load(settings: WorkerSettings) -> dict[str, Metric]:
    """Every metric that has weights, by name."""
    from erasers.metrics.aesthetic import aesthetic_quality, load_head
    from erasers.metrics.alignment import clipsim
    from erasers.metrics.encoders import ClipEncoder, DinoEncoder
    from erasers.metrics.motion import consistency, temporal_flickering
    from workers.pipelines.placement import place

    device = place(settings.device).device
    metrics: dict[str, Metric] = {"temporal_flickering": lambda clip: temporal_flickering(clip.frames)}
    if settings.metric_dino is not None:
        dino = DinoEncoder(settings.metric_dino, device)
        metrics["subject_consistency"] = lambda clip: consistency(clip.features(dino))
    if settings.metric_clip_b32 is not None:
        base = ClipEncoder(settings.metric_clip_b32, device)
        metrics["background_consistency"] = lambda clip: consistency(clip.features(base))
        metrics["clipsim"] = lambda clip: clipsim(clip.features(base), base.texts([clip.prompt])[0])
    if settings.metric_clip_l14 is not None and settings.metric_aesthetic_head is not None:
        large = ClipEncoder(settings.metric_clip_l14, device)
        head = load_head(settings.metric_aesthetic_head, large.dimensions)
        metrics["aesthetic_quality"] = lambda clip: aesthetic_quality(clip.features(large), head)
    return metrics


def _variable(name: str) -> str:
    return f"CLEARWAY_{name.upper()}"


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        settings = WorkerSettings()
        found = check(settings)
        if options.what == "check":
            json.dump(found, sys.stdout)
        else:
            options.out.write_text(json.dumps(measure(json.loads(options.clips.read_bytes()), settings)))
    except (JudgeError, ValidationError) as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m workers.quality", description="Metrics of MP4 files.")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("check", help="what would be measured; loads no weights")
    measuring = commands.add_parser("measure", help="every metric that has weights, of each clip")
    measuring.add_argument("--clips", type=Path, required=True, metavar="FILE.json")
    measuring.add_argument("--out", type=Path, required=True, metavar="FILE.json")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
