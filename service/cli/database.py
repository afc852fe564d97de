"""`clearway database …`: migrations of the database of CLEARWAY_DATABASE_URL, which a gateway brings up to date by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from service.store.database import Database

app = typer.Typer(help="Look at, and go back in, the migrations of the database. No gateway may run.", no_args_is_help=True)


@app.command()
def revision() -> None:
    """The newest migration that the database has, and the newest that there is."""
    from service.store.database import newest_revision

    with _database() as database:
        typer.echo(f"database: {database.revision() or 'none'}\nnewest: {newest_revision()}")


@app.command()
def downgrade(
    steps: Annotated[int, typer.Argument(min=1, help="How many migrations to undo.")] = 1,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Undo the newest migrations, before an older version of Clearway starts. What only they have room for is lost."""
    from alembic.util import CommandError

    with _database() as database:
        before = database.revision()
        if not yes:
            typer.confirm(f"Undo {steps} migrations from {before or 'none'} on, and lose what they have room for?", abort=True)
        try:
            database.migrate(f"-{steps}")
        except CommandError as error:
            raise typer.BadParameter(f"the database has fewer than {steps} migrations: {error}") from error
        typer.echo(f"{before} → {database.revision() or 'none'}")


@contextmanager
def _database() -> Iterator[Database]:
    from service.settings import Settings
    from service.store.database import Database

    database = Database(Settings.from_environment().database_url.get_secret_value())
    try:
        yield database
    finally:
        database.close()
