"""A random model with an eraser trained for it, both databases, and installations that end with their test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.customer import Customer
from tests.chaos.plant import Plant
from tests.service.postgres import Postgres


@dataclass(frozen=True)
class Tiny:
    """A Wan pipeline of random weights, whose steps take milliseconds, and an eraser of lanterns for its encoder."""

    model: Path
    eraser: Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    from tests.workers.parts import train_lantern
    from tests.workers.tiny_models import save_wan
    from workers.pipelines.load import load_directory
    from workers.pipelines.placement import place

    root = tmp_path_factory.mktemp("tiny")
    model = save_wan(root / "tiny-wan")
    eraser = train_lantern(load_directory(model, model_id="tiny-wan", placement=place("cpu")), method="steering")
    eraser.save(root / "lantern")
    return Tiny(model, root / "lantern")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'clearway.db'}"
    else:
        with request.getfixturevalue("postgres").database() as url:
            yield url


@dataclass
class Installation:
    plant: Plant
    customer: Customer


@pytest.fixture
def install(tmp_path: Path, database_url: str, tiny: Tiny) -> Iterator[Callable[..., Installation]]:
    """Starts one, with the options of `Plant`, and returns when it is ready."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Installation:
            plant = Plant(tmp_path / "data", database_url=database_url, model=tiny.model, **options)
            stack.callback(plant.close)
            plant.start_all(erasers=[tiny.eraser])
            customer = Customer(plant.urls, plant.key)
            stack.callback(customer.close)
            return Installation(plant, customer)

        yield start
