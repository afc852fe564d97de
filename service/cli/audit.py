"""`clearway audit …`: the log of what happened, for operators."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect

app = typer.Typer(help="Read and check the audit log. Needs an operator's key.", no_args_is_help=True)


@app.command("list")
def list_(
    after: Annotated[int, typer.Option(help="Only entries with greater numbers.")] = 0,
    action: Annotated[str | None, typer.Option(help="Only this, for instance eraser.activated.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="Only of this: a generation's id, CONCEPT@VERSION, a policy, a key.")
    ] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """What happened, oldest first: number, time, who, what, to what, and details."""
    filters = {name: value for name, value in (("action", action), ("subject", subject)) if value is not None}
    with connect(url, key, data_dir) as client:
        for page in client.audit_pages(after=after, filters=filters):
            for entry in page["data"]:
                words = (entry["sequence"], entry["at"], entry["actor"] or "service", entry["action"], entry["subject"])
                typer.echo("  ".join(map(str, words)) + f"  {json.dumps(entry['details'], ensure_ascii=False)}")


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
