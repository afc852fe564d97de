"""`clearway generate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.versions import parse_version
from workers.contract import MAX_SEED

if TYPE_CHECKING:
    from service.client import Client

INTERRUPTED_EXIT_CODE = 130
"""What shells report for a program that Ctrl-C ended."""


def generate(
    prompt: Annotated[str, typer.Argument(help="What the video shows.")],
    out: Annotated[Path, typer.Option(help="Where the MP4 goes.", dir_okay=False)],
    erase: Annotated[
        list[str] | None, typer.Option(help="A concept to take out: `parachute`, or `parachute@2`. Repeatable.")
    ] = None,
    strength: Annotated[
        list[str] | None,
        typer.Option(metavar="CONCEPT=NUMBER", help="How strongly an eraser of --erase acts; its own strength. Repeatable."),
    ] = None,
    on_missing: Annotated[
        str | None,
        typer.Option(
            help="Where no eraser of a concept is active: `refuse` (the default), or `safree` or `negprompt` stands in."
        ),
    ] = None,
    allow_not_reduced: Annotated[
        bool,
        typer.Option("--allow-not-reduced", help="Make the video also where an erased concept is not reduced in the prompt."),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Look at the frames: no video where an erased concept is still seen.")
    ] = False,
    webhook_url: Annotated[str | None, typer.Option(help="Told when the generation has ended: https://…")] = None,
    negative: Annotated[str | None, typer.Option(help="Negative prompt.")] = None,
    model: Annotated[str | None, typer.Option(help="Model; the service's default.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Same seed, same video.")] = None,
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

    if not out.absolute().parent.is_dir():  # now, and not after the generation
        raise typer.BadParameter(f"{out.absolute().parent} is not a directory: create it first", param_hint="--out")
    options: dict[str, Any] = {
        "erase": _erase(erase or [], strength or []) or None,  # left out, so that the defaults of policies hold
        "on_missing": on_missing,
        "allow_not_reduced": allow_not_reduced or None,
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
        accepted = client.generate(request)
        for warning in accepted["warnings"]:
            typer.echo(f"Warning: {warning['message']}", err=True)
        generation_id = accepted["id"]
        try:
            terminal.show(client.follow_generation(generation_id), generation_id)
        except KeyboardInterrupt:
            _cancel(client, generation_id)
            raise typer.Exit(INTERRUPTED_EXIT_CODE) from None
        generation = client.generation(generation_id)
        if generation["status"] != "succeeded":
            raise JobFailed(generation_id, generation["status"], generation.get("error"))
        receipt = client.receipt(generation_id)
        client.save_video(generation_id, out, sha256=receipt["video_sha256"])
    for use in receipt["erasers"]:
        typer.echo(f"{use['concept']}@{use['version']}: layer {use['layer']}, {_tally(use)}")
    for use in receipt["fallbacks"]:
        typer.echo(f"{use['concept']}: no eraser was active, {use['method']} stood in, {_tally(use)}")
    for check in receipt["checks"]:
        typer.echo(f"{check['concept']}: seen in {check['share']:.0%} of the frames by the detector {check['detector']}")
    typer.echo(f"{out}: {receipt['video_bytes']} bytes, sha256 {receipt['video_sha256']}, seed {receipt['seed']}")


def _erase(names: list[str], strengths: list[str]) -> list[str | dict[str, Any]]:
    """Items of `erase`: names, and objects for those that `--strength` names."""
    chosen = dict(map(_strength, strengths))
    if unknown := chosen.keys() - set(names):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not in --erase", param_hint="--strength")
    return [_item(name, chosen[name]) if name in chosen else name for name in names]


def _item(name: str, strength: float) -> dict[str, Any]:
    item: dict[str, Any] = {"concept": name, "strength": strength}
    if "@" in name:
        item["concept"], item["version"] = parse_version(name)
    return item


def _strength(text: str) -> tuple[str, float]:
    name, equals, number = text.rpartition("=")
    try:
        strength = float(number)
    except ValueError:
        strength = math.nan
    if not (equals and math.isfinite(strength)):
        raise typer.BadParameter(f"{text!r} is not of the form CONCEPT=NUMBER, as in parachute=1.5", param_hint="--strength")
    return name, strength


def _cancel(client: Client, generation_id: str) -> None:
    """Cancel a generation because of Ctrl-C, and say what became of it."""
    from service.client import ClientError

    typer.echo(f"Cancelling the generation {generation_id}…", err=True)
    try:
        client.cancel(generation_id)
    except ClientError as refused:
        typer.echo(f"It was not cancelled: {refused}", err=True)
    else:
        typer.echo("Cancelled.", err=True)


def _tally(use: dict[str, Any]) -> str:
    return f"{_verdict(use)}; strength {use['strength']:g}, {use['tokens_edited']} tokens edited"


def _verdict(use: dict[str, Any]) -> str:
    """What the receipt says of the concept in the prompt's embeddings; 1 is the mean score of prompts with the concept."""
    if use["verdict"] is None:
        return "not measured in the embeddings"
    scores = f"presence {use['score_before']:.2f} → {use['score_after']:.2f}, absent below {use['absent_below']:.2f}"
    return f"{use['verdict'].replace('_', ' ')} ({scores})"
