"""The command line. Importing it imports no model code, no SQL and no HTTP client: each command imports what it needs."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli import (
    aliases,
    archives,
    audit,
    database,
    demo,
    erasers,
    evaluate,
    gates,
    generate,
    generations,
    keys,
    models,
    parts,
    pinned,
    policies,
    up,
)
from service.cli.failures import expected_failures

app = typer.Typer(
    name="clearway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        from importlib.metadata import version

        typer.echo(f"clearway {version('clearway')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)] = False,
) -> None:
    """Serve text-to-video models and erase concepts from what they generate, per request."""


app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("generate")(generate.generate)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(generations.app, name="generations")
app.add_typer(models.app, name="models")
app.add_typer(erasers.app, name="erasers")
erasers.app.add_typer(aliases.app, name="alias")
erasers.app.command("export")(archives.export)
erasers.app.command("import")(archives.import_)
erasers.app.command("used-by")(pinned.used_by)
app.add_typer(policies.app, name="policies")
app.add_typer(gates.app, name="gates")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(database.app, name="database")
app.command("gateway")(parts.gateway)
app.command("worker")(parts.worker)
app.command("trainer")(parts.trainer)


def main() -> None:
    with expected_failures():
        app(prog_name="clearway")
