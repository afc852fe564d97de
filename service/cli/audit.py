"""`clearway audit …`: the log of what happened, for operators."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.output import Column, JsonOption, print_json, print_table

app = typer.Typer(help="Read and check the audit log. Needs an operator's key.", no_args_is_help=True)


@app.command("list")
def list_(
    after: Annotated[int, typer.Option(help="Only entries with greater numbers.")] = 0,
    action: Annotated[str | None, typer.Option(help="Only this, for instance eraser.activated.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only of this: a generation's id, CONCEPT@VERSION, a policy, a key.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most entries to list.")] = 50,
    as_json: JsonOption = False,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """List entries, oldest first: number, time, actor, action, subject and details."""
    filters = {name: value for name, value in (("action", action), ("subject", subject)) if value is not None}
    with connect(url, key, data_dir) as client:
        pages = client.audit_pages(after=after, filters=filters)
        found = list(islice((entry for page in pages for entry in page["data"]), limit + 1))
    entries = found[:limit]
    if as_json:
        print_json(entries)
    else:
        print_table(_COLUMNS, map(_row, entries))
    if len(found) > limit:
        typer.echo(f"There are more: --after {entries[-1]['sequence']}", err=True)


_COLUMNS = (
    Column("number", whole=True),
    Column("time"),
    Column("actor"),
    Column("action", whole=True),
    Column("subject", whole=True),
    Column("details", wrap=True),
)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    details = json.dumps(entry["details"], ensure_ascii=False)
    return str(entry["sequence"]), entry["at"], entry["actor"] or "service", entry["action"], entry["subject"], details


@app.command()
def verify(
    head: Annotated[str | None, typer.Option(help="A head that an earlier run printed; finds an end that was cut off.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Walk the whole log and compute every hash anew. Says where it breaks, with exit code 1; prints its head to be kept
    where the service cannot write."""
    from service.domain import chain

    try:
        saved = None if head is None else chain.Head.parse(head)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--head") from wrong
    with connect(url, key, data_dir) as client:
        found = chain.verify(client.audit_pages(), saved)
    typer.echo(f"{found.sequence} entries, none changed, none missing\n{found}")
