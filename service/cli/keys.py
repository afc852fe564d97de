"""`clearway keys …`: API keys, for operators."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, print_json, print_table

app = typer.Typer(help="Make, list, rotate and revoke API keys. Needs an operator's key.", no_args_is_help=True)

_MOST = "NUMBER|none"
_DEFAULT = "the service's setting of that name"
_COLUMNS = (
    Column("key", whole=True),
    Column("role", whole=True),
    Column("created", least=19),
    Column("name"),
    Column("terms", wrap=True),
)
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
    limits = _limits(
        requests_per_minute=requests_per_minute, max_queued=max_queued, max_running=max_running, max_trainings=max_trainings
    )
    options = {"priority": priority, "expires_at": _expiry(expires_at, expires_in), "limits": limits or None}
    request = {"name": name, "role": "operator" if operator else "user"}
    with connect(url, key, data_dir) as client:
        made = client.create_key({**request, **{option: value for option, value in options.items() if value is not None}})
    typer.echo(made["key"])


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """List the keys that are not revoked, without their secrets."""
    with connect(url, key, data_dir) as client:
        keys = client.api_keys()
    if as_json:
        print_json(keys)
        return
    print_table(_COLUMNS, map(_row, keys))


@app.command()
def update(
    key_id: Annotated[str, typer.Argument(help="As `list` shows it.")],
    name: Annotated[str | None, typer.Option(help="Its user.")] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal or high: jobs of a higher one go first.")] = None,
    requests_per_minute: Annotated[str | None, typer.Option(metavar=_MOST, help="Create requests per minute.")] = None,
    max_queued: Annotated[str | None, typer.Option(metavar=_MOST, help="Queued jobs.")] = None,
    max_running: Annotated[str | None, typer.Option(metavar=_MOST, help="Jobs at workers at once.")] = None,
    max_trainings: Annotated[str | None, typer.Option(metavar=_MOST, help="Trainings at workers at once.")] = None,
    expires_at: Annotated[
        str | None, typer.Option(metavar="TIME|never", help="When the key expires: 2027-01-31T12:00:00Z, or never.")
    ] = None,
    expires_in: Annotated[str | None, typer.Option(metavar="TIME", help="The same, from now: 90d, 12h or 30m.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Change the name, priority, limits or expiry of a key. What is not given stays as it is."""
    limits = _limits(
        requests_per_minute=requests_per_minute, max_queued=max_queued, max_running=max_running, max_trainings=max_trainings
    )
    change: dict[str, Any] = {}
    if name is not None:
        change["name"] = name
    if priority is not None:
        change["priority"] = priority
    if limits:
        change["limits"] = limits
    expiry = _expiry(expires_at, expires_in)
    if expiry is not None:
        change["expires_at"] = None if expiry == "never" else expiry
    if not change:
        raise typer.BadParameter("nothing to change: give --name, --priority, a limit or an expiry")
    with connect(url, key, data_dir) as client:
        print_json(client.update_key(key_id, change))


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


def _limits(**texts: str | None) -> dict[str, int | None]:
    return {limit: _most(most) for limit, most in texts.items() if most is not None}


def _expiry(expires_at: str | None, expires_in: str | None) -> str | None:
    if expires_at is not None and expires_in is not None:
        raise typer.BadParameter("give --expires-at or --expires-in, not both")
    return _from_now(expires_in) if expires_in is not None else expires_at


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    return entry["id"], entry["role"], entry["created_at"][:19], entry["name"], "  ".join(_terms(entry))


def _terms(entry: dict[str, Any]) -> Iterator[str]:
    """Priority, limits and expiry, where they are not the usual ones."""
    if entry["priority"] != "normal":
        yield f"priority={entry['priority']}"
    for limit, most in entry["limits"].items():
        if most is not None:
            yield f"{limit}={most}"
    if entry["expires_at"] is not None:
        yield f"expires={entry['expires_at'][:19]}"


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
