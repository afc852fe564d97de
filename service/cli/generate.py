"""`clearway generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect


def generate(
    prompt: Annotated[str, typer.Argument(help="What the video shows.")],
    out: Annotated[Path, typer.Option(help="Where the MP4 goes.", dir_okay=False)],
    erase: Annotated[
        list[str] | None, typer.Option(help="A concept to take out: `parachute`, or `parachute@2`. Repeatable.")
    ] = None,
    on_missing: Annotated[
        str | None,
        typer.Option(
            help="Where no eraser of a concept is active: `refuse` (the default), or `safree` or `negprompt` stands in."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look at the frames: no video where an erased concept is still seen.")
    ] = False,
    webhook_url: Annotated[str | None, typer.Option(help="Told when the generation has ended: https://…")] = None,
    negative: Annotated[str | None, typer.Option(help="Negative prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="Model; the service's default.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same video.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Guidance scale.")] = None,
    frames: Annotated[int | None, typer.Option(help="Number of frames.")] = None,
    width: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    height: Annotated[int | None, typer.Option(help="Pixels.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Generate a video without the concepts named by --erase. Ctrl-C cancels it."""
    from service import terminal
    from service.client import JobFailed

    if not out.parent.is_dir():
        raise typer.BadParameter(f"{out.parent} is no directory: make it first")  # and not after the generation
    options: dict[str, Any] = {
        "erase": erase or None,  # left out, so that the defaults of policies hold
        "on_missing": on_missing,
        "verify": verify or None,
        "webhook_url": webhook_url,
        "negative_prompt": negative,
        "model": model,
        "seed": seed,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "num_frames": frames,
        "width": width,
        "height": height,
    }
    request = {"prompt": prompt, **{name: value for name, value in options.items() if value is not None}}
    with connect(url, key, data_dir) as client:
        generation_id = client.generate(request)["id"]
        try:
            terminal.show(client.follow_generation(generation_id), generation_id)
        except KeyboardInterrupt:
            client.cancel(generation_id)
            raise
        generation = client.generation(generation_id)
        if generation["status"] != "succeeded":
            raise JobFailed(generation_id, generation["status"], generation.get("error"))
        out.write_bytes(client.video(generation_id))
        receipt = client.receipt(generation_id)
    for use in receipt["erasers"]:
        typer.echo(f"{use['concept']}@{use['version']}: layer {use['layer']}, {_tally(use)}")
    for use in receipt["fallbacks"]:
        typer.echo(f"{use['concept']}: no eraser was active, {use['method']} stood in, {_tally(use)}")
    for check in receipt["checks"]:
        typer.echo(f"{check['concept']}: seen in {check['share']:.0%} of the frames by the detector {check['detector']}")
    typer.echo(f"{out}: {receipt['video_bytes']} bytes, sha256 {receipt['video_sha256']}, seed {receipt['seed']}")


def _tally(use: dict[str, Any]) -> str:
    return (
        f"strength {use['strength']:g}, {use['tokens_edited']} tokens edited, "
        f"presence {use['score_before']:.3g} → {use['score_after']:.3g}"
    )
