"""Which service a client command talks to, and as whom: options first, then the environment, then a data directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.client import Client

DEFAULT_URL = "http://127.0.0.1:8000"

UrlOption = Annotated[str | None, typer.Option("--url", envvar="CLEARWAY_URL", help=f"Address of the service; {DEFAULT_URL}.")]
KeyOption = Annotated[str | None, typer.Option("--key", envvar="CLEARWAY_API_KEY", help="API key.")]
DataDirOption = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="CLEARWAY_DATA_DIR", help="Take address and operator key from this directory of `up`."),
]


def connect(url: str | None, key: str | None, data_dir: Path | None) -> Client:
    from service.client import Client
    from service.embedded.data_dir import DataDir

    if data_dir is not None:
        found = DataDir(data_dir)
        url = url or found.url()
        if key is None and found.operator_key.is_file():
            key = found.operator_key.read_text().strip()
    if not key:
        raise typer.BadParameter("no API key: give --key, CLEARWAY_API_KEY, or --data-dir of a running `clearway up`")
    return Client(url or DEFAULT_URL, key)
