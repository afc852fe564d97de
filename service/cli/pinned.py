"""`clearway erasers used-by …`: which generations have a version pinned."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.versions import VersionArgument, parse_version


def used_by(
    version: VersionArgument,
    status: Annotated[str | None, typer.Option(help="Only in this state; succeeded for those that have a video.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Every generation, of any key, that has a version pinned, newest first: id, state and time."""
    with connect(url, key, data_dir) as client:
        for generation in client.used_by(*parse_version(version), status=status):
            typer.echo(f"{generation['id']}  {generation['status']:9}  {generation['created_at']}")
