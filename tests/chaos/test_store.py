"""The artifact store goes away, or is full, for a while: jobs wait, nothing is recorded elsewhere, and all of them succeed."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import Installation
from tests.chaos.customer import Order, generations
from tests.chaos.invariants import bound_seconds, check, until_all_ended

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
JOBS = 20
STORE_BYTES = 8 * 2**20


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, small, as the place of the store."""
    place = tmp_path / "mounted"
    place.mkdir()
    try:
        run("mount", "-t", "tmpfs", "-o", f"size={STORE_BYTES}", "tmpfs", place)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"mounting a file system needs more rights than these tests have: {error.stderr}")
    yield place
    run("umount", "--lazy", place)


def run(*command: str | Path) -> None:
    subprocess.run(command, capture_output=True, text=True, check=True)


def half_way(here: Installation) -> list[Order]:
    """Some have ended, some are under way; what is returned is to be sent later."""
    orders = list(generations(random.Random(3), JOBS))
    for order in orders[: JOBS // 2]:
        here.customer.send(order)
    here.plant.wait(lambda: here.plant.store().list("videos"), 120, "the first videos are there")
    return orders[JOBS // 2 :]


def everything_ends_well(here: Installation) -> None:
    until_all_ended(here.plant, within_seconds=bound_seconds(JOBS))
    ended = check(here.plant, here.customer)
    assert ended.keys() <= {"succeeded", "canceled: cancelled"}


def test_a_store_that_was_moved_away(install: Callable[..., Installation]) -> None:
    here = install()
    later = half_way(here)
    store = here.plant.store_directory
    store.rename(store.with_name("away"))
    here.plant.wait(lambda: "waiting for the artifact store" in here.plant.log_of("worker-1"), 60, "the worker waits")
    listed = here.customer.get("/generations")
    assert listed.is_success, "what was accepted is known without the store"
    unfinished = next(item for item in listed.json()["data"] if item["status"] in ("queued", "running"))
    assert here.customer.get(f"/generations/{unfinished['id']}").is_success
    assert not store.exists(), "something was written in its place"
    store.with_name("away").rename(store)
    for order in later:
        here.customer.send(order)
    everything_ends_well(here)


def test_a_store_whose_file_system_was_unmounted(install: Callable[..., Installation], mounted: Path) -> None:
    """The mount point stays, and is an empty directory: the worst case, because everything can be written there."""
    here = install(artifacts=mounted)
    later = half_way(here)
    elsewhere = mounted.with_name("elsewhere")
    elsewhere.mkdir()
    run("mount", "--bind", mounted, elsewhere)
    run("umount", "--lazy", mounted)
    try:
        here.plant.wait(lambda: "waiting for the artifact store" in here.plant.log_of("worker-1"), 60, "the worker waits")
        assert not list(mounted.iterdir()), "something was written to the mount point"
    finally:
        run("mount", "--bind", elsewhere, mounted)
        run("umount", "--lazy", elsewhere)
    for order in later:
        here.customer.send(order)
    everything_ends_well(here)


def test_a_store_that_is_full(install: Callable[..., Installation], mounted: Path) -> None:
    here = install(artifacts=mounted)
    later = half_way(here)
    filler = mounted / ".filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(2 * STORE_BYTES))
    for order in later:
        here.customer.send(order)
    here.plant.wait(lambda: "No space left" in here.plant.log_of("worker-1"), 60, "the worker meets the full store")
    filler.unlink()
    everything_ends_well(here)
