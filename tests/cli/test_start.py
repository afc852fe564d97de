"""The command line starts quickly because it imports little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
        ["generations"],
        ["generations", "download"],
        ["models"],
        ["gateway"],
        ["worker"],
        ["trainer"],
    ],
)
def test_every_command_explains_itself(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "service", *arguments, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"clearway {' '.join(arguments)}".strip() in " ".join(shown.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "{out}"], "give --erase and --prompts, or --suite"),
        (["--out", "{out}", "--erase", "church"], "give --erase and --prompts, or --suite"),
        (["--out", "{out}", "--suite", "quick", "--erase", "church"], "leave --erase and --prompts out"),
        (["--out", "{file}", "--suite", "quick"], "python -m workers.suite: error:"),
    ],
)
def test_evaluate_says_what_it_lacks(arguments: list[str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    filled = [argument.format(out=tmp_path / "out", file=file) for argument in arguments]
    done = subprocess.run([sys.executable, "-m", "service", "evaluate", *filled], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
