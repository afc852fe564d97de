"""Training requests that the random model can take: short prompts of its own, and enough steps for a checkpoint or several."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.chaos.customer import Order
from tests.workers.parts import lantern_pairs

CHECKPOINT_EVERY_STEPS = 50


def trainings(count: int, *, iterations: int = 150) -> Iterator[Order]:
    for number in range(count):
        yield Order(f"training-{number}", training(iterations=iterations), path="/erasers")


def training(*, iterations: int) -> dict[str, Any]:
    pairs = lantern_pairs()
    return {
        "concept": "lantern",
        "method": "clear",
        "synonyms": ["red lantern"],
        "pairs": [{"positive": p, "negative": n} for p, n in zip(pairs.positive, pairs.negative, strict=True)],
        "config": {"iterations": iterations, "refine_iterations": 10, "expansion": 4, "gamma": 2.0},
    }
