"""The command line. Importing it imports no model code, no SQL and no HTTP client: each command imports what it needs."""

from __future__ import annotations

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
    help="Serves text-to-video models and takes concepts out of what they generate, request by request.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
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
