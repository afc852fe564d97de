"""`clearway keys …`: API keys, for operators."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="Make, list, rotate and revoke API keys. Needs an operator's key.", no_args_is_help=True)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    operator: Annotated[bool, typer.Option("--operator", help="May train and activate erasers, and make keys.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make a key and print it. It is shown this once; the service keeps only its hash."""
    with connect(url, key, data_dir) as client:
        typer.echo(client.create_key(name, "operator" if operator else "user")["key"])


@app.command("list")
def list_(url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every key that was not revoked, without its secret."""
    with connect(url, key, data_dir) as client:
        for entry in client.api_keys():
            typer.echo(f"{entry['id']}  {entry['role']:8}  {entry['created_at']}  {entry['name']}")


@app.command()
def rotate(
    key_id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    grace_seconds: Annotated[int, typer.Option(min=0, help="So long the secret of before is valid too.")] = 0,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Give a key another secret and print it. It is shown this once."""
    with connect(url, key, data_dir) as client:
        typer.echo(client.rotate_key(key_id, grace_seconds=grace_seconds)["key"])


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Refuse a key from now on."""
    with connect(url, key, data_dir) as client:
        client.delete_key(key_id)
