"""Tiny encoders and erasers trained on them, each made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import erasers
from erasers.pairs import templates
from tests.erasers.tiny import FAMILIES, METHODS, PARACHUTE, Text, make_text


@pytest.fixture(scope="session")
def texts() -> dict[str, Text]:
    return {family: make_text(family) for family in FAMILIES}


@pytest.fixture(params=FAMILIES)
def text(request: pytest.FixtureRequest, texts: dict[str, Text]) -> Text:
    return texts[request.param]


@pytest.fixture(scope="session")
def umt5(texts: dict[str, Text]) -> Text:
    return texts["umt5"]


@pytest.fixture(scope="session")
def trained(texts: dict[str, Text]) -> Callable[..., erasers.Eraser]:
    """`trained(family, method, concept, **options)`, `method` as in METHODS; the same arguments give the same eraser."""
    made: dict[Any, erasers.Eraser] = {}

    def train(family: str, method: str = "clear", concept: erasers.Concept = PARACHUTE, **options: Any) -> erasers.Eraser:
        key = (family, method, concept.name, tuple(sorted(options.items())))
        if key not in made:
            name, config = METHODS[method]
            pairs = templates(concept, 80, 1)
            made[key] = erasers.train(*texts[family], pairs, method=name, config=config | options)
        return made[key]

    return train


@pytest.fixture(scope="session")
def eraser(trained: Callable[..., erasers.Eraser]) -> erasers.Eraser:
    """CLEAR against the parachute, on the UMT5 encoder, with enough strength to see it act."""
    return trained("umt5")
