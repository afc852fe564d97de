"""The README names every setting and every failure code."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from workers.contract import FailureCode
from workers.process import (
    DETECTOR_UNAVAILABLE_EXIT_CODE,
    MODEL_UNAVAILABLE_EXIT_CODE,
    SETTINGS_INVALID_EXIT_CODE,
    STORE_REFUSES_EXIT_CODE,
)
from workers.settings import WorkerSettings

README = (Path(__file__).parents[2] / "workers" / "README.md").read_text(encoding="utf-8")


def test_settings() -> None:
    assert [name for name in WorkerSettings.model_fields if f"| `CLEARWAY_{name.upper()}` |" not in README] == []


def test_failure_codes() -> None:
    assert [code for code in get_args(FailureCode) if f"| `{code}` |" not in README] == []
    assert f"{MODEL_UNAVAILABLE_EXIT_CODE} the model cannot be loaded" in README
    assert f"{DETECTOR_UNAVAILABLE_EXIT_CODE} a detector" in README
    assert f"{STORE_REFUSES_EXIT_CODE} the artifact store" in README
    assert f"{SETTINGS_INVALID_EXIT_CODE} a setting cannot be used" in README


def test_files() -> None:
    modules = {path.name for path in (Path(__file__).parents[2] / "workers").glob("*.py")} - {"__init__.py"}
    assert [name for name in sorted(modules) if f"`{name}`" not in README] == []
