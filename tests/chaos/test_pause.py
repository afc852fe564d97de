"""A worker stands still for longer than its lease, and goes on as if nothing had happened: it must not publish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.conftest import Installation
from tests.chaos.customer import SIZE, Order
from tests.chaos.invariants import bound_seconds, check, until_all_ended
from tests.chaos.plant import LEASE_SECONDS
from workers.contract import Receipt, receipt_key

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
LONG = {**SIZE, "prompt": "a lantern over the big hill", "erase": ["lantern"], "seed": 1, "num_inference_steps": 200}


def test_the_late_attempt_publishes_nothing(install: Callable[..., Installation]) -> None:
    here = install(workers=2)
    accepted = here.customer.send(Order("paused", LONG))
    view: dict[str, Any] = {}

    def stepped() -> bool:
        view.update(here.customer.get(f"/generations/{accepted.id}").json())
        return bool(view["progress"] and view["progress"]["step"])

    here.plant.wait(stepped, 120, "the job makes steps")
    holder = here.plant.holder(accepted.id)
    assert holder is not None
    paused = here.plant.part_of(holder)
    here.plant.pause(paused)
    here.plant.wait(lambda: here.plant.holder(accepted.id) not in (None, holder), 60 + LEASE_SECONDS, "another worker has it")
    here.plant.resume(paused)
    until_all_ended(here.plant, within_seconds=bound_seconds(1))
    check(here.plant, here.customer)  # one receipt among the attempts
    receipt = Receipt.model_validate_json(here.plant.store().get(receipt_key(accepted.id, 2)))
    assert receipt.worker != holder
    here.plant.wait(lambda: "nothing published" in here.plant.log_of(paused), 60, "the late worker notices")
    here.customer.send(Order("afterwards", {**LONG, "num_inference_steps": 3}))
    until_all_ended(here.plant, within_seconds=bound_seconds(1))
    check(here.plant, here.customer)
