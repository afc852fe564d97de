"""`clearway demo`: the main job in front of one's eyes, start to end, through the HTTP service and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(out: Annotated[Path, typer.Option(help="Where videos, picture and report go.", file_okay=False)] = Path("demo")) -> None:
    """Train an eraser, generate with and without it, and measure what it took out and what it left."""
    from service.demo.run import run

    run(out, typer.echo)
