"""`clearway up`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def up(
    data_dir: Annotated[
        Path,
        typer.Option("--data-dir", envvar="CLEARWAY_DATA_DIR", help="Database, videos, erasers, keys and logs; made if missing."),
    ] = Path("clearway-data"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the gateway on 127.0.0.1; 0 takes any that is free.")
    ] = 8000,
    model: Annotated[
        str | None, typer.Option(envvar="CLEARWAY_MODEL", help="`miniature`, a Hugging Face id, or a local diffusers directory.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many GPU workers; each loads the model.")] = 1,
) -> None:
    """Run everything on this machine: queue, gateway, worker and trainer. Ctrl-C stops all; starting again finds all."""
    import logging

    from service.embedded.up import UpOptions, run

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # one line per health check otherwise
    run(UpOptions(data_dir=data_dir, port=port, model=model, workers=workers), typer.echo)
