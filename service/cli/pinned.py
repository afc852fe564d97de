"""`clearway erasers used-by …`: which generations have a version pinned."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, print_json, print_table
from service.cli.versions import VersionArgument, parse_version


def used_by(
    version: VersionArgument,
    status: Annotated[str | None, typer.Option(help="Only in this state; succeeded for those that have a video.")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Every generation, of any key, that has a version pinned, newest first: id, state and time."""
    with connect(url, key, data_dir) as client:
        generations = list(client.used_by(*parse_version(version), status=status))
    if as_json:
        print_json(generations)
        return
    columns = (Column("generation", whole=True), Column("status", whole=True), Column("created"))
    print_table(columns, ((one["id"], one["status"], one["created_at"][:19]) for one in generations))
