"""deploy/README.md is run as far as one machine allows: its variables are settings, and its commands are commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from service.cli import app
from service.settings import Settings
from workers.settings import WorkerSettings

README = (Path(__file__).parents[2] / "deploy" / "README.md").read_text()
BLOCKS = [block for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE) if "CLEARWAY_" in block]
COMMANDS = sorted(set(re.findall(r"`(clearway [^`]+)`", README)))


@pytest.mark.parametrize("block", BLOCKS)
def test_variables_are_settings_that_can_be_used(block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    named = dict(re.findall(r"^    (CLEARWAY_\w+)=(\S+)", block, re.MULTILINE))
    for name in [f"CLEARWAY_{field.upper()}" for kind in (Settings, WorkerSettings) for field in kind.model_fields]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLEARWAY_QUEUE_KEY", "0" * 64)
    for name, value in named.items():
        monkeypatch.setenv(name, value.replace("…", "0" * 64))
    Settings.from_environment()
    WorkerSettings.from_environment()
    fields = {f"CLEARWAY_{field.upper()}" for kind in (Settings, WorkerSettings) for field in kind.model_fields}
    assert named
    assert named.keys() <= fields


def test_an_unusable_value_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError):
        test_variables_are_settings_that_can_be_used("    CLEARWAY_REDIS_ULR=redis://host:6379/0\n", monkeypatch)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_commands(command: str) -> None:
    """Up to the words that stand for the reader's own, in capitals."""
    found: Any = typer.main.get_command(app)
    for word in shlex.split(command)[1:]:
        if hasattr(found, "commands"):
            assert word in found.commands, command
            found = found.commands[word]
        elif word.startswith("--"):
            assert word in {option for parameter in found.params for option in parameter.opts}, command


@pytest.mark.parametrize("command", ["clearway erasers rolback", "clearway keys rotate --graze-seconds 3"])
def test_a_command_that_does_not_exist_would_be_found(command: str) -> None:
    with pytest.raises(AssertionError):
        test_commands_are_commands(command)


def test_what_prometheus_is_told_is_yaml() -> None:
    (block,) = [block for block in re.findall(r"(?:^    .*\n)+", README, re.MULTILINE) if "scrape_configs" in block]
    (scrape,) = yaml.safe_load(block)["scrape_configs"]
    assert scrape["static_configs"][0]["targets"]
