"""`clearway models …`: what is served, and what it takes."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, ShownAsJson, print_json, print_table

app = typer.Typer(help="List and show models.", no_args_is_help=True)


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every model, whether a worker has it loaded, and what requests get that say nothing else."""
    with connect(url, key, data_dir) as client:
        models = client.models()
    if as_json:
        print_json(models)
        return
    columns = (Column("model", whole=True), Column("default"), Column("ready"), Column("size"), Column("frames"), Column("steps"))
    print_table(columns, map(_row, models))


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="As `list` shows it.")],
    as_json: ShownAsJson = True,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """One model, with its limits and defaults, and what the miniature can draw, as JSON."""
    with connect(url, key, data_dir) as client:
        print_json(client.model(model))


def _row(model: dict[str, Any]) -> tuple[str, ...]:
    return (
        model["id"],
        _yes(model["default"]),
        _yes(model["ready"]),
        f"{model['default_width']}x{model['default_height']}",
        str(model["default_num_frames"]),
        str(model["default_num_inference_steps"]),
    )


def _yes(value: bool) -> str:
    return "yes" if value else "no"
