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
from service.evaluation.report import make_report
from service.evaluation.sheet import Row, draw_sheet


@dataclass(frozen=True)
class Evaluation:
    """What was made. `origin` and `erased` are the same prompts and seeds in the same order."""

    report: dict[str, Any]
    origin: Sequence[Clip]
    erased: Sequence[Clip]
    store: ClipStore


def evaluate(
    client: Client,
    *,
    erase: Sequence[str],
    lines: Sequence[PromptLine],
    seeds: Sequence[int],
    out: Path,
    model: str | None = None,
    on_start: Callable[[int], None] = lambda total: None,
    on_done: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Writes `report.json` and `contact_sheet.png` into `out`, which also keeps the clips for a next run.

    `on_start` hears how many clips there are, `on_done` is called for each.
    """
    names = canonical_names(word for line in lines for word in line.objects)  # before hours of generating, not after
    plan = make_plan(client, erase, lines, seeds, model)
    origin, erased = plan.clips(erased=False), plan.clips(erased=True)
    store = ClipStore(out / "clips")
    clips = [*origin, *erased]
    on_start(len(clips))
    make_clips(client, plan.model["id"], clips, store, on_done)
    seen = detect([store.video(clip) for clip in clips], sorted(set(names.values())), stills=out / "stills")
    report = make_report(plan, names, seen[: len(origin)], seen[len(origin) :])
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _draw(plan, origin, erased, out)
    return Evaluation(report, origin, erased, store)


def _draw(plan: Plan, origin: Sequence[Clip], erased: Sequence[Clip], out: Path) -> None:
    pairs = [out / "stills" / f"{clip.name}.png" for both in zip(origin, erased, strict=True) for clip in both]
    per_row = 2 * len(plan.seeds)
    rows = [Row(line.prompt, pairs[index * per_row : (index + 1) * per_row]) for index, line in enumerate(plan.lines)]
    draw_sheet(rows, out / "contact_sheet.png", heading=f"erased: {', '.join(map(str, plan.pins))}; seeds {plan.seeds}")
