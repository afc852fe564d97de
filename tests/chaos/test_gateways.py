"""Several gateways: one of them sweeps, another takes over when it is killed or stands still, and nothing is done twice."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from sqlalchemy.exc import OperationalError

from tests.chaos.conftest import Installation
from tests.chaos.customer import generations
from tests.chaos.invariants import bound_seconds, check, until_all_ended
from tests.chaos.plant import SWEEP_SECONDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
LEASE_SECONDS = 5 * SWEEP_SECONDS + 5
"""Of the sweep, in SQL (`service.lifecycle.loops`)."""
TAKEN_OVER_SECONDS = LEASE_SECONDS + 60


def test_one_sweeps_at_a_time(install: Callable[..., Installation]) -> None:
    here = install(gateways=3)
    for order in generations(random.Random(5), 20):
        here.customer.send(order)
    first = the_one_that_sweeps(here)

    here.plant.kill(first)
    second = the_one_that_sweeps(here)  # any of the three: the one that was killed is back, with another name to the lease

    pause_between_transactions(here, second)
    third = the_one_that_sweeps(here, but=second)
    before = here.plant.sweeps(third)
    here.plant.resume(second)
    here.plant.until_ready()
    late = here.plant.sweeps(second)
    assert the_one_that_sweeps(here, but=second) == third, "who was paused must not go on as if the lease were still its own"
    assert here.plant.sweeps(second) <= late + 1, "the pass that was interrupted may be finished, and no other begun"
    assert here.plant.sweeps(third) > before

    until_all_ended(here.plant, within_seconds=bound_seconds(20))
    check(here.plant, here.customer)


def the_one_that_sweeps(here: Installation, *, but: str | None = None) -> str:
    """Watched for some passes, in which no other may sweep. `but` is known not to: it stands still, or stood still."""
    others = [name for name in here.plant.ports if name != but]
    start = {name: here.plant.sweeps(name) for name in others}
    here.plant.wait(
        lambda: any(here.plant.sweeps(name) >= start[name] + 3 for name in others), TAKEN_OVER_SECONDS, f"one of {others} sweeps"
    )
    time.sleep(6 * SWEEP_SECONDS)
    swept = [name for name in others if here.plant.sweeps(name) > start[name]]
    assert len(swept) == 1, f"{swept} swept in the same seconds"
    return swept[0]


def pause_between_transactions(here: Installation, gateway: str) -> None:
    """One that stands still within a write to SQLite holds up all writes until it goes on; that is no matter of sweeping."""
    while True:
        here.plant.pause(gateway)
        try:
            with here.plant.database() as database, database.write():
                return
        except OperationalError:
            here.plant.resume(gateway)
