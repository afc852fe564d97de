"""Somebody who sends requests as the README advises: each under an `Idempotency-Key`, and again when no answer came."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

PROMPTS = ("a lantern over the big hill", "a red lantern near the river", "a dog in the field", "a boat on the river at night")
SIZE = {"width": 32, "height": 32, "num_frames": 5}
STEPS = (3, 3, 3, 40)
"""Most are done at once; some take long enough to be met by a blow."""
REGRETS = 0.05
ERASE: tuple[list[Any], ...] = ([], ["lantern"], [{"concept": "lantern", "strength": 1.5}])
_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    key: str
    request: dict[str, Any]
    path: str = "/generate"
    regret: bool = False
    """Cancelled as soon as it is accepted."""


@dataclass
class Accepted:
    order: Order
    id: str
    canceled: bool


def generations(rng: random.Random, count: int) -> Iterator[Order]:
    for number in range(count):
        request = {"prompt": rng.choice(PROMPTS), "erase": rng.choice(ERASE), "seed": rng.randrange(2**31)}
        request |= {**SIZE, "num_inference_steps": rng.choice(STEPS)}
        yield Order(f"generation-{number}", request, regret=rng.random() < REGRETS)


class Customer:
    """Thread-safe. Goes from gateway to gateway, as a load balancer would."""

    def __init__(self, urls: Sequence[str], key: str, *, patience_seconds: float = 120) -> None:
        self._urls = urls
        self._patience_seconds = patience_seconds
        self._http = httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=15)
        self._lock = threading.Lock()
        self.accepted: dict[str, Accepted] = {}

    def send(self, order: Order) -> Accepted:
        """Until a gateway has accepted it. An answer that is neither "accepted" nor "not now" is a failure of the test."""
        answer = self._insist(order.path, body=order.request, key=order.key)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        job_id = _id_of(answer.json())
        accepted = Accepted(order, job_id, canceled=order.regret and self._cancel(job_id))
        with self._lock:
            self.accepted[order.key] = accepted
        return accepted

    def send_again(self, order: Order) -> tuple[str, bool]:
        """The id in the answer, and whether it says that it tells of an earlier request."""
        answer = self._http.post(f"{self._urls[0]}{order.path}", json=order.request, headers={"Idempotency-Key": order.key})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return _id_of(answer.json()), answer.headers.get("idempotent-replayed") == "true"

    def get(self, path: str) -> httpx.Response:
        return self._http.get(f"{self._urls[0]}{path}")

    def close(self) -> None:
        self._http.close()

    def _cancel(self, job_id: str) -> bool:
        """False where it had ended before."""
        answer = self._insist(f"/generations/{job_id}/cancel")
        assert answer.status_code in (httpx.codes.OK, httpx.codes.CONFLICT), answer.text
        return answer.is_success

    def _insist(self, path: str, *, body: Any = None, key: str | None = None) -> httpx.Response:
        """The first answer that is not "not now"."""
        give_up_at = time.monotonic() + self._patience_seconds
        headers = {} if key is None else {"Idempotency-Key": key}
        for url in itertools.cycle(random.sample(self._urls, len(self._urls))):
            try:
                answer = self._http.post(f"{url}{path}", json=body, headers=headers)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return answer
                why = answer.text
            except httpx.TransportError as error:
                why = repr(error)
            assert time.monotonic() < give_up_at, f"POST {path} was not answered: {why}"
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError("there are no gateways")


def _id_of(body: dict[str, Any]) -> str:
    """Of a generation its id; of a training the place of its version."""
    return str(body["id"]) if "id" in body else f"{body['concept']}@{body['version']}"
