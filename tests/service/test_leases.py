"""One holder at a time, for as long as it renews."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from service.store import leases
from service.store.database import Database


@pytest.mark.both_databases
def test_one_of_many_and_the_next_when_it_goes(database_url: str) -> None:
    database = Database(database_url)

    def hold(holder: str, seconds: float = 60) -> bool:
        return leases.hold(database, "sweep", holder=holder, seconds=seconds)

    names = [str(number) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        (winner,) = [name for name, held in zip(names, pool.map(hold, names), strict=True) if held]
    loser = names[names.index(winner) - 1]
    assert hold(winner)
    assert not hold(loser)
    leases.release(database, "sweep", holder=loser)
    assert not hold(loser)
    leases.release(database, "sweep", holder=winner)
    assert hold(loser, seconds=-1)  # over as soon as it is taken
    assert hold(winner)
    database.close()
