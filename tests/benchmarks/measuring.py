"""The measurements of `load`. Each may be repeated, round after round; what belongs together is added up."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from redis import Redis

from tests.benchmarks.servers import CONTROL, Server
from tests.benchmarks.standing import Standing
from tests.benchmarks.table import Cell
from tests.benchmarks.traffic import Client, Request, Timing
from tests.service.calls import wait_until
from workers.contract import events_key

CONCEPT = "parachute"
ACCEPT, START, ALONE = "POST /generate", "from sending to the start", "1 queued, 1 eraser"
FEW = 50  # more than two pages have
QUICK = {"num_inference_steps": 1, "guidance_scale": 1.0, "num_frames": 3}  # of the miniature
START_SECONDS = 120
_PLACES = ("a beach", "snowy mountains", "the sea", "a city at night")
_ENDED = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Sizes:
    requests: int
    starts: int
    queued: int
    erasers: int


@dataclass(frozen=True)
class Gateway:
    server: Server
    standing: Standing


class Load:
    """`timings` of every cell, and which other cell it stands `beside`."""

    def __init__(self, sizes: Sizes, *, seed: int) -> None:
        self.timings: defaultdict[Cell, Timing] = defaultdict(Timing)
        self.beside: dict[Cell, Cell] = {}
        self._sizes = sizes
        self._random = random.Random(seed)

    def starting(self, server: Server) -> None:
        """With one idle worker: from sending until the worker's first event, on the clock of this machine. The first job does
        not count: with it the worker reads what it keeps."""
        timing = self.timings[self._beside_control(START, 1, server)]
        with Client(server) as client, closing(Redis.from_url(server.redis_url)) as redis:
            for number in range(self._sizes.starts + 1):
                sent, cpu_began = time.time(), server.cpu_seconds()
                job_id = client.send(self._request(**QUICK))["id"]
                seconds = _started(redis, job_id) - sent
                if number:
                    timing.add([seconds], seconds, cpu_seconds=server.cpu_seconds() - cpu_began)
                wait_until(partial(_ended, client, job_id), seconds=START_SECONDS)

    def accepting(self, control: Server, gateways: Sequence[Gateway], *, at_once: int) -> None:
        """Every 202 is looked for in SQL."""
        self._drive(control, self._requests(), self._beside_control(ACCEPT, at_once, control))
        for gateway in gateways:
            gateway.standing.prepare(queued=1, erasers=1)
            self._drive(gateway.server, self._requests(), self._beside_control(ACCEPT, at_once, gateway.server))
            kept = gateway.standing.jobs() - 1
            if kept != self._sizes.requests:
                raise RuntimeError(f"{gateway.server.name}: {self._sizes.requests} requests were accepted, {kept} are in SQL")

    def crowded(self, gateway: Gateway) -> None:
        """From one connection, with many jobs and many erasers, beside the same gateway with few: accepting with one of each,
        reading with a page full of jobs, because an answer costs by what is in it."""
        queued, erasers = self._sizes.queued, self._sizes.erasers
        self._accept_among(gateway, ALONE, queued=1, erasers=1)
        self._accept_among(gateway, f"{erasers:,} erasers", queued=1, erasers=erasers)
        self._accept_among(gateway, f"{queued:,} queued", queued=queued, erasers=1)
        self._read_among(gateway, queued=FEW)
        self._read_among(gateway, queued=queued)

    def _accept_among(self, gateway: Gateway, state: str, *, queued: int, erasers: int) -> None:
        gateway.standing.prepare(queued=queued, erasers=erasers)
        self._drive(gateway.server, self._requests(), self._beside_itself(ACCEPT, state, ALONE, gateway))

    def _read_among(self, gateway: Gateway, *, queued: int) -> None:
        ids = gateway.standing.prepare(queued=queued, erasers=1)
        for what, path in _reads(ids).items():
            cell = self._beside_itself(what, f"{queued:,} queued", f"{FEW} queued", gateway)
            self._drive(gateway.server, [Request("GET", path)] * self._sizes.requests, cell)

    def _beside_control(self, what: str, at_once: int, server: Server) -> Cell:
        return self._stands(Cell(what, at_once, server.name), Cell(what, at_once, CONTROL))

    def _beside_itself(self, what: str, state: str, other: str, gateway: Gateway) -> Cell:
        name = gateway.server.name
        return self._stands(Cell(f"{what}: {state}", 1, name), Cell(f"{what}: {other}", 1, name))

    def _stands(self, cell: Cell, other: Cell) -> Cell:
        if cell != other:
            self.beside[cell] = other
        return cell

    def _drive(self, server: Server, requests: Sequence[Request], cell: Cell) -> None:
        with Client(server, connections=cell.at_once) as client:
            client.drive(requests, self.timings[cell])

    def _requests(self) -> list[Request]:
        return [self._request() for _ in range(self._sizes.requests)]

    def _request(self, **fields: Any) -> Request:
        """No two are the same, and every run has the same ones."""
        prompt = f"a {CONCEPT} over {self._random.choice(_PLACES)}"
        body = {"prompt": prompt, "erase": [CONCEPT], "seed": self._random.randrange(2**31), **fields}
        return Request("POST", "/generate", body, status=202)


def _reads(ids: Sequence[str]) -> dict[str, str]:
    middle = ids[len(ids) // 2]
    return {
        "GET /generations/{id}": f"/generations/{middle}",
        "GET /generations": "/generations",
        "GET /generations?cursor=…": f"/generations?cursor={middle}",
        "GET /generations?status=queued": "/generations?status=queued",
    }


def _started(redis: Redis, job_id: str) -> float:
    """When the worker said so; the ids of a stream are milliseconds."""
    answer = cast(Any, redis.xread({events_key(job_id): "0-0"}, count=1, block=1000 * START_SECONDS))
    if not answer:
        raise RuntimeError(f"{job_id} did not start within {START_SECONDS} s")
    return int(answer[0][1][0][0].partition(b"-")[0]) / 1000


def _ended(client: Client, job_id: str) -> bool:
    return client.send(Request("GET", f"/generations/{job_id}"))["status"] in _ENDED
