"""`clearway gates …`: what the erasers of single concepts must reach to become active."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, print_json, print_table

app = typer.Typer(help="List, set and unset the gate's thresholds for concepts. Needs an operator's key.", no_args_is_help=True)

ConceptArgument = Annotated[str, typer.Argument(help="For instance nudity.")]
ThresholdsArgument = Annotated[list[str], typer.Argument(metavar="NAME=NUMBER...", help="For instance max_erased=0.02.")]


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """List the concepts with thresholds of their own, then the deployment's thresholds for all others."""
    with connect(url, key, data_dir) as client:
        found = client.gates()
    if as_json:
        print_json(found)
        return
    deployment = found["deployment"]
    rows = []
    for gate in found["data"]:
        own = {name: value for name, value in gate["own"].items() if value is not None}
        numbers = (f"{name}={value:g} (deployment {deployment[name]:g})" for name, value in own.items())
        rows.append((gate["concept"], ", ".join(numbers)))
    rows.append(("all others", ", ".join(f"{name}={value:g}" for name, value in deployment.items())))
    print_table((Column("concept", whole=True), Column("thresholds", wrap=True)), rows)


@app.command("set")
def set_(
    concept: ConceptArgument,
    thresholds: ThresholdsArgument,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Set a concept's own thresholds, in the place of all that it had before. What is not named is the deployment's."""
    own = dict(map(_threshold, thresholds))
    with connect(url, key, data_dir) as client:
        print_json(client.put_gate(concept, own))


@app.command()
def unset(concept: ConceptArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Take a concept's own thresholds away: the deployment's judge it from now on."""
    with connect(url, key, data_dir) as client:
        client.delete_gate(concept)


def _threshold(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not (equals and math.isfinite(number)):
        raise typer.BadParameter(f"{text!r} is not of the form NAME=NUMBER, as in max_erased=0.02")
    return name, number
