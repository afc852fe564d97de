"""`clearway erasers export` and `import`: from one installation to another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.versions import VersionArgument, parse_version, print_versions

_CHUNK_BYTES = 2**20


def export(
    version: VersionArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; CONCEPT@VERSION.tar here.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Save a version as an archive that `import` takes elsewhere. Prints its digest, and the file."""
    concept, number = parse_version(version)
    path = out or Path(f"{concept}@{number}.tar")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{path.absolute().parent} is no directory", param_hint="--out")
    with connect(url, key, data_dir) as client:
        digest = client.version(concept, number)["digest"]
        client.artifact(concept, number, path)
    typer.echo(f"{digest}  {path}")


def import_(
    path: Annotated[Path, typer.Argument(exists=True, help="An archive of `export`, or a directory that `erasers` wrote.")],
    digest: Annotated[str | None, typer.Option(help="Take it only if it has this digest, as `export` printed it.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Import an eraser. It becomes a candidate, unless it is here already, and this service measures it before it can be used."""
    with connect(url, key, data_dir) as client:
        imported = client.import_eraser(_packed(path) if path.is_dir() else _pieces(path), digest=digest)
    print_versions([imported])
    if imported["evaluation"] is None:
        name = f"{imported['concept']}@{imported['version']}"
        typer.echo(f"It is being evaluated. Its numbers, when they are there: clearway erasers report '{name}'")


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _packed(directory: Path) -> Iterator[bytes]:
    from erasers import artefact
    from erasers.errors import ArtefactError
    from service.erasers.archive import pack

    try:
        return pack(directory, artefact.digest(directory))
    except ArtefactError as error:
        raise typer.BadParameter(str(error)) from error
