"""One evaluation: clips with and without the erasers, detection, report, contact sheet."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.client import Client
from service.evaluation.clips import ClipStore, make_clips
from service.evaluation.detection import canonical_names, detect
from service.evaluation.plan import Clip, Plan, make_plan
from service.evaluation.prompts import PromptLine
from service.evaluation.quality import check_quality, measure_quality, quality_report
from service.evaluation.report import make_report
from service.evaluation.scene import canonical_scenes
from service.evaluation.sheet import Row, draw_sheet


@dataclass(frozen=True)
class Evaluation:
    """What was made. `origin` and `erased` are the same prompts and seeds in the same order."""

    report: dict[str, Any]
    origin: Sequence[Clip]
    erased: Sequence[Clip]
    store: ClipStore
    stills: Path

    def still(self, clip: Clip) -> Path:
        """The middle frame of a clip, as PNG."""
        return self.stills / f"{clip.name}.png"


def evaluate(
    client: Client,
    *,
    erase: Sequence[str],
    lines: Sequence[PromptLine],
    seeds: Sequence[int],
    out: Path,
    model: str | None = None,
    quality: bool = False,
    on_start: Callable[[int], None] = lambda total: None,
    on_done: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Writes `report.json` and `contact_sheet.png` into `out`, which also keeps the clips for a next run.

    With `quality` the report also has the metrics of the clips, as many as there are weights for on this machine.
    `on_start` hears how many clips there are, `on_done` is called for each.
    """
    names = canonical_names(word for line in lines for word in line.objects)  # before hours of generating, not after
    scenes = canonical_scenes([line.scene for line in lines])
    not_measured = check_quality() if quality else {}
    plan = make_plan(client, erase, lines, seeds, model)
    origin, erased = plan.clips(erased=False), plan.clips(erased=True)
    clips, store, stills = [*origin, *erased], ClipStore(out / "clips"), out / "stills"
    on_start(len(clips))
    make_clips(client, plan.model["id"], clips, store, on_done)
    asked = plan.scenes(scenes, names)
    seen = detect([store.video(clip) for clip in clips], sorted(set(names.values())), scenes=[*asked, *asked], stills=stills)
    report = make_report(plan, names, seen[: len(origin)], seen[len(origin) :])
    if quality:
        measured = measure_quality([store.video(clip) for clip in clips], [clip.line.prompt for clip in clips])
        report["quality"] = quality_report(measured[: len(origin)], measured[len(origin) :], not_measured)
    evaluation = Evaluation(report, origin, erased, store, stills)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _draw(plan, evaluation, out / "contact_sheet.png")
    return evaluation


def _draw(plan: Plan, evaluation: Evaluation, out: Path) -> None:
    """A row a prompt: clips come prompt by prompt, and for each prompt seed by seed."""
    pairs = list(zip(evaluation.origin, evaluation.erased, strict=True))
    per_line = len(plan.seeds)
    rows = [
        Row(line.prompt, [evaluation.still(clip) for pair in pairs[index * per_line : (index + 1) * per_line] for clip in pair])
        for index, line in enumerate(plan.lines)
    ]
    draw_sheet(rows, out, heading=f"erased: {', '.join(map(str, plan.pins))}; seeds {', '.join(map(str, plan.seeds))}")
