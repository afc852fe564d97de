"""`clearway erasers alias …`: second names of concepts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, print_json, print_table

app = typer.Typer(help="List, put and delete second names of concepts.", no_args_is_help=True)

_COLUMNS = (Column("alias", whole=True), Column("concept", whole=True))
AliasArgument = Annotated[str, typer.Argument(metavar="ALIAS", help="For instance nsfw.")]


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """List the aliases and the concept of each."""
    with connect(url, key, data_dir) as client:
        aliases = list(client.aliases())
    if as_json:
        print_json(aliases)
        return
    print_table(_COLUMNS, map(_row, aliases))


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
    print_table(_COLUMNS, [_row(made)])


@app.command()
def delete(alias: AliasArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Delete an alias. Requests that name it are refused from then on."""
    with connect(url, key, data_dir) as client:
        client.delete_alias(alias)


def _row(alias: dict[str, Any]) -> tuple[str, ...]:
    return alias["alias"], alias["concept"]
