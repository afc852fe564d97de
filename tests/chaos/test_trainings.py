"""A training survives its trainer and its queue, and goes on from the checkpoint instead of from the start."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from redis.exceptions import RedisError
from sqlalchemy import select

from service.store.models import EraserVersion
from tests.chaos.conftest import Installation
from tests.chaos.customer import Order
from tests.chaos.invariants import bound_seconds, check, until_all_ended
from tests.chaos.trainings import CHECKPOINT_EVERY_STEPS, training
from workers.contract import events_key

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]
LASTS_SECONDS = 60
"""About how long a training takes at most, so that blows fall into it: longer than Valkey takes to come back."""


def test_a_training_goes_on_from_its_checkpoint(install: Callable[..., Installation]) -> None:
    here = install(trainers=1)
    iterations = long_enough(here)
    unbroken = here.customer.send(Order("unbroken", training(iterations=iterations), path="/erasers"))
    until_all_ended(here.plant, within_seconds=bound_seconds(1) + 300)
    broken = here.customer.send(Order("broken", training(iterations=iterations), path="/erasers"))
    job_id = job_of(here, broken.id)

    here.plant.wait(lambda: checkpoint(here, job_id).exists(), 120, "a checkpoint is written")
    here.plant.kill("valkey")
    here.plant.wait(lambda: len(steps(here, job_id)) > 2, 120, "the training goes on after Valkey was killed")
    here.plant.kill("trainer-1")
    with here.plant.redis() as redis:
        redis.flushall()  # so that the steps that are told are those of the next attempt
    here.plant.wait(lambda: steps(here, job_id), bound_seconds(1), "the next attempt makes steps")
    first = steps(here, job_id)[0]
    assert first > CHECKPOINT_EVERY_STEPS, f"it began anew, at step {first}"

    until_all_ended(here.plant, within_seconds=bound_seconds(1) + 300)
    check(here.plant, here.customer)
    found = here.customer.get(f"/erasers/lantern/{broken.id.split('@')[1]}").json()
    assert found["digest"] == here.customer.get(f"/erasers/lantern/{unbroken.id.split('@')[1]}").json()["digest"]
    assert not checkpoint(here, job_id).exists(), "a checkpoint that nobody needs any more"


def long_enough(here: Installation, tried: int = 500) -> int:
    """How many iterations this machine makes in `LASTS_SECONDS`, from a few, with what comes before and after them."""
    began = time.monotonic()
    here.customer.send(Order("tried", training(iterations=tried), path="/erasers"))
    until_all_ended(here.plant, within_seconds=bound_seconds(1) + 300)
    return round(tried * LASTS_SECONDS / (time.monotonic() - began))


def job_of(here: Installation, name: str) -> str:
    with here.plant.database() as database, database.read() as session:
        version = int(name.split("@")[1])
        job_id = session.scalar(select(EraserVersion.job_id).where(EraserVersion.version == version))
    assert job_id is not None
    return job_id


def checkpoint(here: Installation, job_id: str) -> Path:
    return here.plant.directory / "checkpoints" / job_id / "training.safetensors"


def steps(here: Installation, job_id: str) -> list[int]:
    """Of the search, as the trainer told them to Redis."""
    with here.plant.redis() as redis:
        try:
            entries = redis.xrange(events_key(job_id))
        except RedisError:  # killed, and not up again
            return []
    told = [json.loads(fields[b"data"]) for _, fields in entries if fields[b"event"] == b"step"]
    return [data["step"] for data in told if data["stage"] == "search"]
