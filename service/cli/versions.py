"""How the command line names versions of erasers, and shows them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

VersionArgument = Annotated[str, typer.Argument(metavar="CONCEPT@VERSION", help="For instance parachute@2.")]
RATES = ("origin_rate", "erased_rate", "synonym_rate", "kept_rate")


def parse_version(text: str) -> tuple[str, int]:
    name, at, number = text.rpartition("@")
    if not at or not number.isdigit():
        raise typer.BadParameter(f"{text!r} is not of the form CONCEPT@VERSION, as in parachute@2")
    return name, int(number)


def print_versions(versions: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("eraser", "status", "layer", "strength", *RATES, "digest")
    for version in versions:
        evaluation = version["evaluation"] or {}
        numbers = [version["layer"], version["strength"], *(evaluation.get(rate) for rate in RATES)]
        name = f"{version['concept']}@{version['version']}"
        table.add_row(name, version["status"], *map(_cell, numbers), (version["digest"] or "")[:12])
    Console().print(table)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
