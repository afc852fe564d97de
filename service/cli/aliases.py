"""`clearway erasers alias …`: second names of concepts."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="List, put and delete second names of concepts.", no_args_is_help=True)

AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="For instance nsfw.")]


@app.command("list")
def list_(url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every alias, and the concept that it means."""
    with connect(url, key, data_dir) as client:
        for alias in client.aliases():
            typer.echo(f"{alias['alias']}  →  {alias['concept']}")


@app.command()
def put(
    alias: AliasArgument,
    concept: Annotated[str, typer.Argument(help="The concept that it means, which has an eraser.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make an alias, or let it mean another concept. Needs an operator's key."""
    with connect(url, key, data_dir) as client:
        made = client.put_alias(alias, concept)
    typer.echo(f"{made['alias']}  →  {made['concept']}")


@app.command()
def delete(alias: AliasArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Delete an alias. Requests that name it are refused from then on."""
    with connect(url, key, data_dir) as client:
        client.delete_alias(alias)
