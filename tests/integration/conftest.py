from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.integration.running import Up


class StartUp(Protocol):
    def __call__(self, data_dir: Path, *, model: str, **environment: str) -> Up: ...


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Wan pipeline of random weights: real classes, and steps that take milliseconds."""
    from tests.workers.tiny_models import save_wan

    return str(save_wan(tmp_path_factory.mktemp("models") / "tiny-wan"))


@pytest.fixture(scope="module")
def start_up() -> Iterator[StartUp]:
    """Starts `clearway up`; whatever is still running when the module ends is stopped."""
    started: list[Up] = []

    def start(data_dir: Path, *, model: str, **environment: str) -> Up:
        started.append(Up(data_dir, model=model, **environment))
        return started[-1]

    yield start
    for up in started:
        up.end()


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running installation with the model of this repository, shared by the tests that need a model that knows something."""
    up = Up(tmp_path_factory.mktemp("miniature") / "data", model="miniature")
    try:
        up.wait_until_ready()
        yield up
    finally:
        up.end()
