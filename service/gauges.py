"""What SQL and Redis say now, asked when Prometheus asks. It is the same on every gateway: take the maximum, not the sum.

SQL is asked these questions, which two indexes answer: a count of what is queued, of which there is never more than
`CLEARWAY_MAX_QUEUED`, and of what runs; the first queued job of each kind; and a count of webhooks that are due.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from typing import get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from service.domain.states import JOB_STATUSES, TERMINAL
from service.lifecycle.flight import Flight, WorkerState
from service.store import jobs, webhooks
from service.store.database import Database
from workers.contract import JOB_KINDS, WORKER_KINDS

logger = logging.getLogger(__name__)

UNFINISHED = tuple(status for status in JOB_STATUSES if status not in TERMINAL)


class Gauges(Collector):
    def __init__(self, database: Database, flight: Flight) -> None:
        self._database = database
        self._flight = flight

    def collect(self) -> Iterator[Metric]:
        database_up = GaugeMetricFamily("clearway_database_up", "1 where SQL answers.")
        try:
            yield from self._jobs()
            database_up.add_metric((), 1)
        except SQLAlchemyError as error:
            logger.warning("metrics without SQL: %s", error)
            database_up.add_metric((), 0)
        yield database_up
        redis_up = GaugeMetricFamily("clearway_redis_up", "1 where Redis answers.")
        redis_up.add_metric((), int(self._flight.ping()))
        yield redis_up
        yield self._workers()

    def _jobs(self) -> Iterator[Metric]:
        with self._database.read() as session:
            counts = jobs.count_unfinished(session)
            oldest = {kind: jobs.oldest_queued(session, kind) for kind in JOB_KINDS}
            webhooks_due = webhooks.count_due(session)
        by_status = GaugeMetricFamily("clearway_jobs", "Unfinished jobs by state.", labels=("kind", "status"))
        for kind, status in product(JOB_KINDS, UNFINISHED):
            by_status.add_metric((kind, status), counts.get((kind, status), 0))
        yield by_status
        yield GaugeMetricFamily("clearway_webhooks_due", "Webhooks neither delivered nor given up.", value=webhooks_due)
        age = GaugeMetricFamily("clearway_oldest_queued_seconds", "Age of the oldest queued job; 0 for none.", labels=("kind",))
        now = datetime.now(UTC)
        for kind in JOB_KINDS:
            age.add_metric((kind,), max(0.0, (now - (oldest[kind] or now)).total_seconds()))
        yield age

    def _workers(self) -> Metric:
        seen = Counter((worker.kind, worker.state) for worker in self._flight.workers())
        gauge = GaugeMetricFamily("clearway_workers", "Workers that showed a sign of life lately.", labels=("kind", "state"))
        for kind, state in product(WORKER_KINDS, get_args(WorkerState)):
            gauge.add_metric((kind, state), seen[kind, state])
        return gauge
