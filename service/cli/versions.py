"""How the command line names versions of erasers, and shows them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from service.cli.output import Column, print_table

VersionArgument = Annotated[str, typer.Argument(metavar="CONCEPT@VERSION", help="For instance parachute@2.")]
RATES = ("origin_rate", "erased_rate", "synonym_rate", "kept_rate")
_COLUMNS = (
    *(Column(name, whole=True) for name in ("eraser", "status", "layer", "strength")),
    *(Column(rate.removesuffix("_rate"), whole=True) for rate in RATES),
    Column("scene", least=5),
    Column("digest", least=12),
)


def parse_version(text: str) -> tuple[str, int]:
    name, at, number = text.rpartition("@")
    if not at or not number.isdigit():
        raise typer.BadParameter(f"{text!r} is not of the form CONCEPT@VERSION, as in parachute@2")
    return name, int(number)


def print_versions(versions: list[dict[str, Any]]) -> None:
    print_table(_COLUMNS, map(_row, versions))


def _row(version: dict[str, Any]) -> tuple[str, ...]:
    evaluation = version["evaluation"] or {}
    numbers = [version["layer"], version["strength"], *(evaluation.get(rate) for rate in (*RATES, "scene_kept"))]
    name = f"{version['concept']}@{version['version']}"
    return name, version["status"], *map(_cell, numbers), (version["digest"] or "")[:12]


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
