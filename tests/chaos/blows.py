"""Blows at seeded places. A place is a share of the work, not a time, so that a slow machine is hit at the same ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy import func, select

from service.domain.states import TERMINAL
from service.store.models import Job
from tests.chaos.customer import Accepted, Customer, Order
from tests.chaos.plant import Plant

SENDERS = 3
AHEAD = 16
"""So many jobs are sent and not ended at a time: accepting goes on as long as the blows do."""


@dataclass(frozen=True, order=True)
class Blow:
    at: float
    """Of the work: 0 is before anything is accepted, 1 when everything has ended."""
    part: str
    """A kind of process, or `wipe` for FLUSHALL."""


def schedule(rng: random.Random, counts: Mapping[str, int]) -> list[Blow]:
    return sorted(Blow(rng.uniform(0.02, 0.95), part) for part, count in counts.items() for _ in range(count))


def strike(plant: Plant, blow: Blow, rng: random.Random) -> None:
    if blow.part == "wipe":
        plant.wait(plant.wiped, 30, "Valkey takes FLUSHALL")
    else:
        plant.kill(rng.choice(plant.names(blow.part)))


def send_under_fire(
    plant: Plant, customer: Customer, orders: Sequence[Order], blows: Sequence[Blow], rng: random.Random, *, within_seconds: float
) -> None:
    """Sends all orders, never many ahead of the work, while the blows fall. Returns when everything is accepted and every blow
    has fallen; some jobs may still run."""
    to_send, to_fall, sending = list(orders), list(blows), list[Future[Accepted]]()
    with ThreadPoolExecutor(SENDERS) as pool, plant.database() as database:

        def over() -> bool:
            with database.read() as session:
                ended = session.scalar(select(func.count()).select_from(Job).where(Job.status.in_(TERMINAL))) or 0
            while to_send and len(sending) - ended < AHEAD:
                sending.append(pool.submit(customer.send, to_send.pop(0)))
            for future in sending:
                if future.done():
                    future.result()  # a sender that failed ends the test at once
            accepted = len(customer.accepted)
            while to_fall and to_fall[0].at <= (accepted + ended) / (2 * len(orders)):
                strike(plant, to_fall.pop(0), rng)
            return accepted == len(orders) and not to_fall

        plant.wait(over, within_seconds, "everything accepted, and every blow fallen")
