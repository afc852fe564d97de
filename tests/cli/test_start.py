"""The command line starts quickly because it imports little."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "diffusers", "transformers", "sqlalchemy", "fastapi", "redis", "rq", "httpx", "PIL", "numpy")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    loaded = modules_after("import service.cli")
    assert "typer" in loaded
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.parametrize("module", ["service.client", "service.embedded.up", "service.evaluation.run", "service.demo.run"])
def test_no_client_side_module_imports_model_code(module: str) -> None:
    loaded = modules_after(f"import {module}")
    assert module in loaded
    assert loaded.isdisjoint({"torch", "diffusers", "transformers", "sqlalchemy", "av"})


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["up"],
        ["demo"],
        ["generate"],
        ["evaluate"],
        ["erasers"],
        ["erasers", "train"],
        ["keys"],
        ["gateway"],
        ["worker"],
        ["trainer"],
    ],
)
def test_every_command_explains_itself(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "service", *arguments, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"clearway {' '.join(arguments)}".strip() in " ".join(shown.split())
