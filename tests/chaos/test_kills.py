"""Everything is killed again and again while jobs are accepted and run. The seed decides where the blows fall."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from tests.chaos.blows import schedule, send_under_fire
from tests.chaos.conftest import Installation
from tests.chaos.customer import generations
from tests.chaos.invariants import bound_seconds, check, until_all_ended
from tests.chaos.plant import READY_SECONDS
from tests.chaos.trainings import trainings

Install = Callable[..., Installation]


def run(here: Installation, *, seed: int, jobs: int, training_jobs: int, blows: Mapping[str, int]) -> None:
    rng = random.Random(seed)
    orders = [*generations(rng, jobs), *trainings(training_jobs)]
    rng.shuffle(orders)
    fallen = schedule(rng, blows)
    patience = bound_seconds(len(orders)) + len(fallen) * READY_SECONDS
    send_under_fire(here.plant, here.customer, orders, fallen, rng, within_seconds=patience)
    until_all_ended(here.plant, within_seconds=bound_seconds(len(orders)))
    ended = check(here.plant, here.customer, may_fail={"worker_lost"})
    canceled = ended["canceled: cancelled"]
    assert ended["succeeded"] + canceled >= 0.95 * len(orders), f"blows explain a job or two that lost three workers: {ended}"
    assert len(here.customer.accepted) == len(orders)


@pytest.mark.timeout(600)
def test_a_handful_of_kills(install: Install) -> None:
    """The quick selection: what `make test` runs."""
    blows = {"gateway": 2, "worker": 1, "valkey": 2, "wipe": 1}
    run(install(workers=1), seed=1, jobs=40, training_jobs=0, blows=blows)


@pytest.mark.chaos
@pytest.mark.timeout(5400)
@pytest.mark.parametrize("seed", [1, 2])
def test_kills_of_everything(install: Install, seed: int) -> None:
    blows = {"gateway": 8, "worker": 8, "valkey": 6, "trainer": 3, "wipe": 3}
    run(install(workers=2, trainers=1), seed=seed, jobs=196, training_jobs=4, blows=blows)
