"""`clearway generations …`: what was asked for, and what became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, ShownAsJson, print_json, print_table

app = typer.Typer(help="List, show, cancel, download and delete generations. An operator's key sees all.", no_args_is_help=True)

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="As `list` shows it.")]


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="Only in this state: queued, running, succeeded, failed, canceled.")] = None,
    limit: Annotated[int, typer.Option(help="Most generations to list.")] = 20,
    after: Annotated[str | None, typer.Option(metavar="ID", help="Only those that were created before this one.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Generations of the key, newest first."""
    with connect(url, key, data_dir) as client:
        page = client.generations(status=status, limit=limit, after=after)
    if as_json:
        print_json(page["data"])
        return
    print_table(_COLUMNS, map(_row, page["data"]))
    if page["next_cursor"] is not None:
        again = f" --status {status}" if status else ""
        typer.echo(f"There are more: clearway generations list{again} --limit {limit} --after {page['next_cursor']}", err=True)


@app.command()
def show(
    generation: IdArgument,
    as_json: ShownAsJson = True,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print one generation as JSON."""
    with connect(url, key, data_dir) as client:
        print_json(client.generation(generation))


@app.command()
def cancel(generation: IdArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Cancel one that has not ended. A worker that runs it is told to stop."""
    with connect(url, key, data_dir) as client:
        print_table(_COLUMNS, [_row(client.cancel(generation))])


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


_COLUMNS = (
    Column("generation", whole=True),
    Column("status", whole=True),
    Column("created", least=19),
    Column("erase", least=8),
    Column("prompt"),
)


def _row(generation: dict[str, Any]) -> tuple[str, ...]:
    erased = [f"{pin['concept']}@{pin['version']}" for pin in generation["erase"]]
    erased += [f"{fallback['concept']} ({fallback['method']})" for fallback in generation["fallbacks"]]
    return (
        generation["id"],
        generation["status"],
        generation["created_at"][:19],
        ", ".join(erased),
        f"[{generation['error']['code']}] {generation['prompt']}" if generation["error"] else generation["prompt"],
    )
