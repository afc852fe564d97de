"""`clearway policies …`: what operators demand of the requests of keys."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, ShownAsJson, print_json, print_table

app = typer.Typer(help="List, show, put and delete policies. Needs an operator's key.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="For instance house-rules.")]


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """List the policies in force, what each makes mandatory, and for which keys."""
    with connect(url, key, data_dir) as client:
        policies = client.policies()
    if as_json:
        print_json(policies)
        return
    columns = (Column("policy", whole=True), Column("mandatory", wrap=True), Column("keys", wrap=True))
    print_table(columns, map(_row, policies))


@app.command()
def show(
    name: NameArgument,
    version: Annotated[int | None, typer.Option(help="Also one that ended; the one in force.")] = None,
    as_json: ShownAsJson = True,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """One policy, whole, as JSON. Its `rules` are what `put` takes."""
    with connect(url, key, data_dir) as client:
        print_json(client.policy(name, version))


@app.command()
def put(
    name: NameArgument,
    rules: Annotated[
        typer.FileText,
        typer.Argument(help="JSON as of `PUT /policies/{name}`; - is the standard input.", encoding="utf-8-sig"),
    ],
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
        print_json(client.put_policy(name, body))


@app.command()
def delete(name: NameArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """End a policy. It binds no request from now on."""
    with connect(url, key, data_dir) as client:
        client.delete_policy(name)


def _row(policy: dict[str, Any]) -> tuple[str, ...]:
    rules = policy["rules"]
    mandatory = ", ".join(map(_eraser, rules["mandatory"])) or "nothing"
    return f"{policy['name']}@{policy['version']}", mandatory, "all" if rules["keys"] is None else ", ".join(rules["keys"])


def _eraser(item: dict[str, Any]) -> str:
    return f"{item['concept']}@{item['version']}" if item["version"] else str(item["concept"])
