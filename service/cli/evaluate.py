"""`clearway evaluate`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from workers.contract import MAX_SEED

_SUITE_CLIPS = {"full": 100, "quick": 10}
"""In each cell. `quick` shows that it works, and proves little."""


def evaluate(
    out: Annotated[Path, typer.Option(help="Gets the report, pictures, and what was generated, which a next run uses again.")],
    erase: Annotated[
        list[str] | None, typer.Option(help="An eraser under test: `parachute`, or `parachute@2`. Repeatable: a stack.")
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(
            help='JSON lines {"prompt": …, "objects": [names that the video should show]}; with "scene": {"background": …, '
            '"motion": …, "style": …} the report has scene_kept.'
        ),
    ] = None,
    suite: Annotated[
        Literal["full", "quick"] | None,
        typer.Option(help="Instead of both: every method on what the miniature knows, on this machine, without the service."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Comma-separated; every prompt is generated with each.")] = "0,1,2",
    model: Annotated[str | None, typer.Option(help="Model; the service's default.")] = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Metrics of the clips, too: as many as this machine has weights for.")
    ] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Generate every prompt with and without the erasers, and measure in how many frames each object is seen."""
    if suite is not None:
        if erase or prompts or quality:
            raise typer.BadParameter(
                "--suite chooses erasers and prompts itself: leave --erase and --prompts out, and --quality, which it has not"
            )
        command = [sys.executable, "-m", "workers.suite", "--out", str(out), "--clips", str(_SUITE_CLIPS[suite])]
        command += ["--ablations"] if suite == "full" else []
        raise typer.Exit(subprocess.run(command, check=False).returncode)
    if not erase or prompts is None:
        raise typer.BadParameter("give --erase and --prompts, or --suite")
    from service import terminal
    from service.evaluation import prompts as prompt_file
    from service.evaluation.run import evaluate as run

    lines = prompt_file.read(prompts)
    with connect(url, key, data_dir) as client, terminal.bar() as bar:
        task = bar.add_task("clips", total=None)
        done = run(
            client,
            erase=erase,
            lines=lines,
            seeds=_seeds(seeds),
            out=out,
            model=model,
            quality=quality,
            on_start=lambda total: bar.update(task, total=total),
            on_done=lambda: bar.advance(task),
        )
    for name, rates in done.report["objects"].items():
        typer.echo(f"{name}: origin {rates['origin_rate']:.1%}, erased {rates['erased_rate']:.1%} ({rates['n']} clips)")
    if (scene := done.report["scene_kept"]) is not None:
        kept = "not measurable" if scene["kept"] is None else f"{scene['kept']:.1%}"
        rates = f"origin {scene['origin']:.1%}, erased {scene['erased']:.1%}, kept {kept}"
        typer.echo(f"rest of the scene: {rates} ({scene['n']} clips)")
    for name, means in done.report.get("quality", {}).get("metrics", {}).items():
        typer.echo(f"{name}: origin {means['origin']:.4f}, erased {means['erased']:.4f}")
    typer.echo(f"{out / 'report.json'}\n{out / 'contact_sheet.png'}")


def _seeds(text: str) -> list[int]:
    try:
        seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = [-1]
    if not all(0 <= seed <= MAX_SEED for seed in seeds):
        raise typer.BadParameter(f"--seeds takes whole numbers from 0 to {MAX_SEED} joined by commas, as in 0,1,2; not {text!r}")
    return seeds
