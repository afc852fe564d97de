"""A request that needs more memory than its worker may have fails with a code, and the worker serves the next one."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import Installation
from tests.chaos.customer import SIZE, Order
from tests.chaos.invariants import bound_seconds, check, until_all_ended

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
SMALL = {**SIZE, "prompt": "a lantern over the big hill", "erase": ["lantern"], "seed": 1, "num_inference_steps": 3}
HUGE = {**SMALL, "width": 1280, "height": 1280, "num_frames": 121, "num_inference_steps": 1}
HEADROOM_BYTES = 48 * 2**20
"""Of addresses, beyond what the process has: less than the noise of the huge one, and more than a small one asks for anew."""


def test_out_of_memory_once_and_healthy_afterwards(install: Callable[..., Installation]) -> None:
    here = install()
    here.customer.send(Order("warm", SMALL))
    until_all_ended(here.plant, within_seconds=bound_seconds(1))
    worker = here.plant.pid("worker-1")
    pages = int(Path(f"/proc/{worker}/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + HEADROOM_BYTES
    resource.prlimit(worker, resource.RLIMIT_AS, (limit, limit))
    huge = here.customer.send(Order("huge", HUGE))
    small = here.customer.send(Order("small", SMALL))
    until_all_ended(here.plant, within_seconds=bound_seconds(2))
    ended = check(here.plant, here.customer, may_fail={"out_of_memory"})
    assert ended == {"succeeded": 2, "failed: out_of_memory": 1}
    assert here.customer.get(f"/generations/{huge.id}").json()["error"]["code"] == "out_of_memory"
    assert here.customer.get(f"/generations/{small.id}").json()["attempt"] == 1
    assert here.plant.pid("worker-1") == worker, "the process survived, with its model"
