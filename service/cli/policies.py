"""`clearway policies …`: what operators demand of the requests of keys."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="List, show, put and delete policies. Needs an operator's key.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="For instance house-rules.")]


@app.command("list")
def list_(url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every policy in force, and what it makes mandatory."""
    with connect(url, key, data_dir) as client:
        for policy in client.policies():
            typer.echo(f"{policy['name']}@{policy['version']}  {_summary(policy['rules'])}")


@app.command()
def show(
    name: NameArgument,
    version: Annotated[int | None, typer.Option(help="Also one that ended; the one in force.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """One policy, whole, as JSON. Its `rules` are what `put` takes."""
    with connect(url, key, data_dir) as client:
        _print(client.policy(name, version))


@app.command()
def put(
    name: NameArgument,
    rules: Annotated[typer.FileText, typer.Argument(help="JSON as of `PUT /policies/{name}`; - is the standard input.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make a policy, or its next version, from a file. In force from the next request on."""
    try:
        body = json.load(rules)
    except ValueError as wrong:
        raise typer.BadParameter(f"{rules.name} is not JSON: {wrong}") from wrong
    with connect(url, key, data_dir) as client:
        _print(client.put_policy(name, body))


@app.command()
def delete(name: NameArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """End a policy. It binds no request from now on."""
    with connect(url, key, data_dir) as client:
        client.delete_policy(name)


def _summary(rules: dict[str, Any]) -> str:
    mandatory = ", ".join(map(_eraser, rules["mandatory"])) or "nothing"
    return f"mandatory: {mandatory}; binds {'all keys' if rules['keys'] is None else ', '.join(rules['keys'])}"


def _eraser(item: dict[str, Any]) -> str:
    return f"{item['concept']}@{item['version']}" if item["version"] else str(item["concept"])


def _print(policy: dict[str, Any]) -> None:
    typer.echo(json.dumps(policy, indent=2, ensure_ascii=False))
