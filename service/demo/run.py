"""Trains one eraser, activates it, generates with and without it, measures both, and writes what a newcomer wants to see.

Everything is made in this run: the data directory and the clips of an earlier one are removed first. The clips shown are
the first prompt and seed of each object, whatever they look like.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from service import terminal
from service.client import ApiError, Client, JobFailed
from service.demo.running import running_service
from service.evaluation import prompts
from service.evaluation.run import Evaluation, evaluate
from service.evaluation.sheet import Row, draw_sheet

CONCEPT = "parachute"
SEEDS = (0, 1)
PROMPTS = Path(__file__).with_name("prompts.jsonl")

_SHOWN = ("origin_rate", "erased_rate", "synonym_rate", "kept_rate", "scene_kept")

Say = Callable[[str], None]


def run(out: Path, say: Say) -> None:
    data, work = out / "clearway-data", out / "clearway-evaluation"
    for leftover in (data, work):
        shutil.rmtree(leftover, ignore_errors=True)
    say(f"1/4  Starting queue, gateway, worker and trainer (data and logs in {data})")
    with running_service(data) as client:
        say(f"     serving at {client.url}")
        say(f"2/4  Training an eraser for {CONCEPT!r} through POST /erasers")
        started = time.monotonic()
        version = _train(client, say)
        train_seconds = time.monotonic() - started
        gate_passed = _activate(client, version, say)
        say("3/4  Generating every prompt with and without it through POST /generate")
        evaluation = _evaluate(client, version, work)
    say("4/4  Measured and stopped")
    report = {
        **_rates(evaluation.report["objects"]),
        "scene_kept": {name: evaluation.report["scene_kept"][name] for name in ("origin", "erased", "kept")},
        "train_seconds": round(train_seconds, 1),
        "generate_seconds": round(_generate_seconds(evaluation), 2),
        "layer": version["layer"],
        "gate_passed": gate_passed,
        "videos": _keep_videos(evaluation, out),
        "evaluation": evaluation.report,
    }
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    _tell(report, out, say)
    say(f"\nTo play on: clearway up --data-dir {data}")


def _train(client: Client, say: Say) -> dict[str, Any]:
    accepted = client.train({"concept": CONCEPT})
    number = accepted["version"]
    terminal.show(client.follow_training(CONCEPT, number), f"{CONCEPT}@{number}")
    version = client.version(CONCEPT, number)
    if version["status"] == "failed":
        raise JobFailed(f"training of {CONCEPT}@{number}", "failed", version["error"])
    numbers = {name: value for name in _SHOWN if (value := version["evaluation"].get(name)) is not None}
    say(
        f"     {CONCEPT}@{number}, layer {version['layer']}: "
        + ", ".join(f"{name} {value:.2f}" for name, value in numbers.items())
    )
    return version


def _activate(client: Client, version: Mapping[str, Any], say: Say) -> bool:
    """Whether the version passed the gate. One that does not is activated all the same, to be seen; an operator may."""
    try:
        client.activate(CONCEPT, version["version"])
    except ApiError as refused:
        if refused.code != "gate_not_passed":
            raise
        say(f"     the gate refuses it: {refused}\n     activating it by override, so that you can look at it")
        client.activate(CONCEPT, version["version"], override_reason="to look at what the gate refuses, in the demo")
        return False
    say("     it passes the gate and is active now")
    return True


def _evaluate(client: Client, version: Mapping[str, Any], work: Path) -> Evaluation:
    with terminal.bar() as bar:
        task = bar.add_task("     clips", total=None)
        return evaluate(
            client,
            erase=[f"{CONCEPT}@{version['version']}"],
            lines=prompts.read(PROMPTS),
            seeds=SEEDS,
            out=work,
            on_start=lambda total: bar.update(task, total=total),
            on_done=lambda: bar.advance(task),
        )


def _rates(objects: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """`kept_rate` is what the other objects keep: frames that show them with the eraser, over those without it."""
    others = [rates for name, rates in objects.items() if name != CONCEPT]
    shown = sum(rates["origin_rate"] * rates["frames"] for rates in others)
    kept = sum(rates["erased_rate"] * rates["frames"] for rates in others)
    return {
        "concept": CONCEPT,
        "origin_rate": objects[CONCEPT]["origin_rate"],
        "erased_rate": objects[CONCEPT]["erased_rate"],
        "kept_rate": round(kept / shown, 4) if shown else None,
        "clips": objects[CONCEPT]["n"],
    }


def _generate_seconds(evaluation: Evaluation) -> float:
    """Mean time from a worker's start on a clip to its finish, as the service's records tell."""
    records = [evaluation.store.generation(clip) for clip in (*evaluation.origin, *evaluation.erased)]
    seconds = [_seconds(record["started_at"], record["finished_at"]) for record in records if record is not None]
    return sum(seconds) / len(seconds)


def _seconds(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _keep_videos(evaluation: Evaluation, out: Path) -> list[str]:
    """Copies the first pair of clips to where a person finds them, and draws the first of each prompt side by side."""
    first = {"origin.mp4": evaluation.origin[0], "erased.mp4": evaluation.erased[0]}
    for name, clip in first.items():
        shutil.copyfile(evaluation.store.video(clip), out / name)
    rows = [
        Row(origin.line.prompt, [evaluation.still(origin), evaluation.still(erased)])
        for origin, erased in zip(evaluation.origin, evaluation.erased, strict=True)
        if origin.seed == SEEDS[0]
    ]
    draw_sheet(rows, out / "side_by_side.png", heading=f"without and with the eraser of {CONCEPT!r}, seed {SEEDS[0]}")
    return list(first)


def _tell(report: Mapping[str, Any], out: Path, say: Say) -> None:
    kept = "not measurable" if report["kept_rate"] is None else f"{report['kept_rate']:.0%}"
    say(f"\n{CONCEPT}: in {report['origin_rate']:.0%} of the frames without the eraser, in {report['erased_rate']:.0%} with it")
    scene = report["scene_kept"]
    say(f"its background: there in {scene['origin']:.0%} of the frames without the eraser, in {scene['erased']:.0%} with it")
    say(f"the dog: kept at {kept} ({report['clips']} clips each)")
    say(f"trained in {report['train_seconds']} s (layer {report['layer']}), {report['generate_seconds']} s a clip\n")
    for name in (*report["videos"], "side_by_side.png", "report.json"):
        say(f"  {out / name}")
