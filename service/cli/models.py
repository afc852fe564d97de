"""`clearway models …`: what is served, and what it takes."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="List and show models.", no_args_is_help=True)


@app.command("list")
def list_(url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every model, whether a worker has it loaded, and what requests get that say nothing else."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    with connect(url, key, data_dir) as client:
        models = client.models()
    table = Table("model", "default", "ready", "size", "frames", "steps")
    for model in models:
        table.add_row(
            Text(model["id"]),
            _yes(model["default"]),
            _yes(model["ready"]),
            f"{model['default_width']}x{model['default_height']}",
            str(model["default_num_frames"]),
            str(model["default_num_inference_steps"]),
        )
    Console().print(table)


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="As `list` shows it.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """One model, with its limits and defaults, as JSON."""
    with connect(url, key, data_dir) as client:
        models: dict[str, dict[str, Any]] = {found["id"]: found for found in client.models()}
    if model not in models:
        raise typer.BadParameter(f"no model {model!r} is served; there is: {', '.join(models) or 'none yet'}")
    typer.echo(json.dumps(models[model], indent=2, ensure_ascii=False))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
