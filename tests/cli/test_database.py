"""`clearway database`, on a database that a gateway would use."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.database import Database, newest_revision


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("CLEARWAY_DATABASE_URL", raising=False)
    database = Database(f"sqlite:///{tmp_path / 'clearway.db'}")
    database.migrate()
    return database


def run(*arguments: str, answer: str = "") -> str:
    return CliRunner().invoke(app, ["database", *arguments], input=answer).output


def test_it_says_where_the_database_stands(database: Database) -> None:
    assert run("revision") == f"database: {newest_revision()}\nnewest: {newest_revision()}\n"
    database.migrate("base")
    assert run("revision").startswith("database: none\n")


def test_going_back_asks_and_then_goes(database: Database) -> None:
    assert "Aborted" in run("downgrade", answer="n\n")
    assert database.revision() == newest_revision()
    assert run("downgrade", "1", "--yes") == f"{newest_revision()} → none\n"
    assert database.revision() is None
    database.migrate()
    assert database.revision() == newest_revision()


def test_going_back_further_than_there_is_changes_nothing(database: Database) -> None:
    assert "fewer than 99" in run("downgrade", "99", "--yes")
    assert database.revision() == newest_revision()
