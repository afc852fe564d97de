"""`clearway keys …`: API keys, for operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="Make, list, rotate and revoke API keys. Needs an operator's key.", no_args_is_help=True)

_MOST = "NUMBER|none"
_DEFAULT = "the service's setting of that name"
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    operator: Annotated[bool, typer.Option("--operator", help="May train and activate erasers, and make keys.")] = False,
    priority: Annotated[str | None, typer.Option(help="low, normal or high: jobs of a higher one go first; normal.")] = None,
    requests_per_minute: Annotated[
        str | None, typer.Option(metavar=_MOST, help=f"Creating calls that are accepted in a minute; {_DEFAULT}.")
    ] = None,
    max_queued: Annotated[str | None, typer.Option(metavar=_MOST, help=f"Queued jobs; {_DEFAULT}.")] = None,
    max_running: Annotated[str | None, typer.Option(metavar=_MOST, help=f"Jobs at workers at once; {_DEFAULT}.")] = None,
    max_trainings: Annotated[str | None, typer.Option(metavar=_MOST, help=f"Trainings at workers at once; {_DEFAULT}.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME", help="From then on it opens nothing: 2027-01-31T12:00:00Z; never.")
    ] = None,
    expires_in: Annotated[str | None, typer.Option(metavar="TIME", help="The same, from now: 90d, 12h or 30m.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Make a key and print it. It is shown this once; the service keeps only its hash."""
    if expires_at is not None and expires_in is not None:
        raise typer.BadParameter("give --expires-at or --expires-in, not both")
    limits = {
        "requests_per_minute": requests_per_minute,
        "max_queued": max_queued,
        "max_running": max_running,
        "max_trainings": max_trainings,
    }
    options = {
        "priority": priority,
        "expires_at": _from_now(expires_in) if expires_in is not None else expires_at,
        "limits": {limit: _most(most) for limit, most in limits.items() if most is not None} or None,
    }
    request = {"name": name, "role": "operator" if operator else "user"}
    with connect(url, key, data_dir) as client:
        made = client.create_key({**request, **{option: value for option, value in options.items() if value is not None}})
    typer.echo(made["key"])


@app.command("list")
def list_(url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Every key that was not revoked, without its secret."""
    with connect(url, key, data_dir) as client:
        for entry in client.api_keys():
            typer.echo(f"{entry['id']}  {entry['role']:8}  {entry['created_at'][:19]}  {'  '.join(_terms(entry))}")


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


@app.command("webhook-secret")
def webhook_secret(
    rotate: Annotated[bool, typer.Option("--rotate", help="Sign with another one from now on.")] = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print what webhooks are signed with, of the key that this command is used with. Any key may ask."""
    with connect(url, key, data_dir) as client:
        typer.echo(client.webhook_secret(rotate=rotate))


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


def _terms(entry: dict[str, Any]) -> Iterator[str]:
    """What is not as usual, and the name, which may be any words, last."""
    if entry["priority"] != "normal":
        yield f"priority={entry['priority']}"
    for limit, most in entry["limits"].items():
        if most is not None:
            yield f"{limit}={most}"
    if entry["expires_at"] is not None:
        yield f"expires={entry['expires_at'][:19]}"
    yield entry["name"]


def _most(text: str) -> int | None:
    """`none` takes away what the service's settings give a new key."""
    if text == "none":
        return None
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no limit: a whole number is, or `none`") from None


def _from_now(text: str) -> str:
    found = re.fullmatch(r"(\d{1,5})([dhm])", text, re.ASCII)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time from now: a number of days, hours or minutes is, as in 90d, 12h or 30m")
    return (datetime.now(UTC) + timedelta(**{_UNITS[found[2]]: int(found[1])})).isoformat(timespec="seconds")
