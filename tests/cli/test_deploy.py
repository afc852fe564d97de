"""The compose file starts commands that exist, with settings that exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from pydantic_settings import BaseSettings

from service.cli import app
from service.settings import Settings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS: dict[str, type[BaseSettings]] = {"gateway": Settings, "worker": WorkerSettings, "trainer": WorkerSettings}


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_a_command_of_ours_with_settings_of_ours(name: str) -> None:
    service = COMPOSE["services"][name]
    program, *arguments = service["command"]
    assert program == "clearway"
    commands = typer.main.get_group(app).commands
    commands[arguments[0]].make_context(arguments[0], arguments[1:])  # raises for an option that it does not have
    fields = {f"CLEARWAY_{field.upper()}" for field in OURS[name].model_fields}
    assert set(service["environment"]) <= fields
    assert (ROOT / service["build"]["dockerfile"]).exists()


@pytest.mark.parametrize("file", ["deploy/Dockerfile.service", "deploy/Dockerfile.worker"])
def test_what_a_dockerfile_copies_and_installs_exists(file: str) -> None:
    lines = (ROOT / file).read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert {"pyproject.toml", "service", "workers", "erasers"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_every_variable_without_a_default_is_in_the_example() -> None:
    example = (ROOT / "deploy/env.example").read_text()
    assert "${CLEARWAY_DATABASE_PASSWORD:?" in (ROOT / "docker-compose.yml").read_text()
    assert "CLEARWAY_DATABASE_PASSWORD=" in example
