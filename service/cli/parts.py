"""One part of Clearway as this process, for systemd or Kubernetes. Each reads its settings from `CLEARWAY_…`."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from service.embedded import commands


def gateway(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8000,
) -> None:
    """Run one gateway."""
    from service.settings import Settings
    from workers.private_files import close_data_directory

    settings = Settings.from_environment()
    settings.queue_keys()  # a setting that cannot be used is one line here, and a traceback there
    close_data_directory(settings.data_dir)
    _become(commands.gateway(host=host, port=port))


def worker() -> None:
    """Run one GPU worker: it loads the model of CLEARWAY_MODEL and generates."""
    _become(commands.worker())


def trainer() -> None:
    """Run one trainer: it loads the text encoder of CLEARWAY_MODEL and trains erasers."""
    _become(commands.trainer())


def _become(command: list[str]) -> None:
    """Replace this process, so that signals reach the part itself. The files that it creates are private."""
    from workers.private_files import UMASK

    os.umask(UMASK)
    os.execv(command[0], command)  # noqa: S606
