"""How commands print: tables that fit a terminal, tab-separated lines for pipes, JSON on request."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

_GAP = 2

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ShownAsJson = Annotated[bool, typer.Option("--json", help="Print JSON, which is the only form of this command.")]


@dataclass(frozen=True)
class Column:
    """A column of a table. `whole` ones are never shortened; `wrap` ones are folded, and the others cut to fit the terminal.

    One that would be narrower than `least` characters is left out.
    """

    name: str
    whole: bool = False
    wrap: bool = False
    least: int = 4


def print_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under their columns in a terminal, and without a header, separated by tabs, elsewhere."""
    lines = [[" ".join(cell.split()) for cell in row] for row in rows]  # a prompt may hold line ends and tabs
    if not sys.stdout.isatty():
        for line in lines:
            typer.echo("\t".join(line))
    elif lines:
        _draw(columns, lines)


def _draw(columns: Sequence[Column], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    longest = [max(len(column.name), *(len(line[index]) for line in lines)) for index, column in enumerate(columns)]
    widths = _widths(columns, longest, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        if width:
            table.add_column(column.name, width=width, no_wrap=not column.wrap, overflow="fold" if column.wrap else "ellipsis")
    for line in lines:
        table.add_row(*(Text(cell) for cell, width in zip(line, widths, strict=True) if width))  # brackets are no markup
    console.print(table)


def _widths(columns: Sequence[Column], longest: Sequence[int], width: int) -> list[int]:
    """The width of each column in a terminal of `width`; 0 where no room is left for it.

    `whole` columns get what their longest cell needs. The others share the rest, left to right.
    """
    widths = [need if column.whole else 0 for column, need in zip(columns, longest, strict=True)]
    left = width - sum(width + _GAP for width in widths if width)
    shared = [index for index, column in enumerate(columns) if not column.whole]
    for position, index in enumerate(shared):
        share = left // (len(shared) - position) - _GAP
        fits = share >= min(columns[index].least, longest[index])
        widths[index] = min(longest[index], share) if fits else 0
        left -= widths[index] + _GAP if widths[index] else 0
    return widths
