"""`clearway generations …`: what was asked for, and what became of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="List, show, cancel, download and delete generations. An operator's key sees all.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only in this state: queued, running, succeeded, failed, canceled.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Only those that came before this one.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Generations of the key, newest first."""
    with connect(url, key, data_dir) as client:
        page = client.generations(status=status, limit=limit, after=after)
    _print(page["data"])
    if page["next_cursor"] is not None:
        again = f" --status {status}" if status else ""
        typer.echo(f"There are more: clearway generations list{again} --limit {limit} --after {page['next_cursor']}")


@app.command()
def show(generation: IdArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """One generation, whole, as JSON."""
    with connect(url, key, data_dir) as client:
        typer.echo(json.dumps(client.generation(generation), indent=2, ensure_ascii=False))


@app.command()
def cancel(generation: IdArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Cancel one that has not ended. A worker that runs it is told to stop."""
    with connect(url, key, data_dir) as client:
        _print([client.cancel(generation)])


@app.command()
def download(
    generation: IdArgument,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the MP4 goes.", dir_okay=False)],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Save the video of one that succeeded, if it is the one that its receipt tells of."""
    if not out.absolute().parent.is_dir():
        raise typer.BadParameter(f"{out.absolute().parent} is no directory: make it first", param_hint="--out")
    with connect(url, key, data_dir) as client:
        sha256 = client.receipt(generation)["video_sha256"]
        saved = client.save_video(generation, out, sha256=sha256)
    typer.echo(f"{out}: {saved} bytes, sha256 {sha256}")


@app.command()
def delete(generation: IdArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Delete its words, its video and its receipt, for good. One that has not ended is cancelled first."""
    with connect(url, key, data_dir) as client:
        client.delete_generation(generation)


def _print(generations: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table(Column("generation", no_wrap=True), "status", "created", "erase", Column("prompt", no_wrap=True))
    for generation in generations:
        acting = [f"{pin['concept']}@{pin['version']}" for pin in generation["erase"]]
        acting += [f"{stand_in['concept']} ({stand_in['method']})" for stand_in in generation["fallbacks"]]
        error = generation["error"]
        status = f"{generation['status']}: {error['code']}" if generation["status"] == "failed" else generation["status"]
        words = (
            generation["id"],
            status,
            generation["created_at"][:19],
            ", ".join(acting),
            " ".join(generation["prompt"].split()),
        )
        table.add_row(*map(Text, words))  # brackets in a prompt are no markup
    Console().print(table)
