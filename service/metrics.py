"""What this process counts, for Prometheus: requests that it answered and ends of jobs that it brought about.

Every end is counted by one gateway, the one whose UPDATE moved the row, so sums over gateways count nothing twice. What is the
same for all of them, because it is read from SQL and Redis, is `service.gauges`'.

Labels are bounded. Those whose values come from registries and workers take so many values; what comes after is `other`.
"""

from __future__ import annotations

from typing import Any, Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from service.domain.states import TERMINAL
from service.store.models import Job

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
MAX_ERASERS, MAX_STAGES = 500, 64
OTHER = "other"
Outcome = Literal["delivered", "failed", "given_up"]
"""Of an attempt at a webhook."""

_WORK_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_WAIT_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200)


class Metrics:
    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("clearway_http_requests", "Requests answered.", ("method", "route", "status"), registry=registry)
        self._latency = Histogram(
            "clearway_http_request_seconds", "Until the answer begins.", ("method", "route"), registry=registry
        )
        self._accepted = Counter("clearway_jobs_accepted", "Jobs accepted.", ("kind",), registry=registry)
        self._ended = Counter("clearway_jobs_ended", "Jobs that ended, and how.", ("kind", "status", "code"), registry=registry)
        self._withheld = Counter(
            "clearway_videos_withheld", "Requests for videos that are not what their receipts describe.", registry=registry
        )
        self._sweeps = Counter("clearway_sweeps", "Passes of the sweep.", registry=registry)
        self._wait = Histogram(
            "clearway_queue_wait_seconds",
            "From acceptance to the start of the last attempt, of jobs that ended.",
            ("kind",),
            buckets=_WAIT_SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "clearway_stage_seconds",
            "Of jobs that succeeded, as workers report.",
            ("kind", "stage"),
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._uses = Counter(
            "clearway_eraser_uses", "Generations in which an eraser acted, by receipt.", ("concept", "version"), registry=registry
        )
        self._fallbacks = Counter(
            "clearway_fallback_uses",
            "Concepts for which a method without training stood in, by receipt.",
            ("method",),
            registry=registry,
        )
        self._webhooks = Counter(
            "clearway_webhook_attempts", "Attempts at webhooks, and what came of each.", ("outcome",), registry=registry
        )
        self._eraser_labels = _Bounded(MAX_ERASERS)
        self._stage_labels = _Bounded(MAX_STAGES)

    def add(self, collector: Collector) -> None:
        self._registry.register(collector)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else OTHER
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)

    def accepted(self, job: Job) -> None:
        self._accepted.labels(job.kind).inc()

    def withheld(self) -> None:
        """A video was asked for, and not sent or not to its end, because it is not the one that its receipt describes."""
        self._withheld.inc()

    def swept(self) -> None:
        """By the one gateway that holds the sweep's lease, after a pass that went through."""
        self._sweeps.inc()

    def webhook(self, outcome: Outcome) -> None:
        self._webhooks.labels(outcome).inc()

    def ended(self, job: Job) -> None:
        """After the commit that ended it, by whoever ended it."""
        if job.status not in TERMINAL:
            return
        self._ended.labels(job.kind, job.status, job.error_code or "").inc()
        if job.started_at is not None:
            self._wait.labels(job.kind).observe(max(0.0, (job.started_at - job.created_at).total_seconds()))
        if job.status == "succeeded":
            self._work(job, job.result or {})

    def _work(self, job: Job, record: dict[str, Any]) -> None:
        """`record` is a `Receipt`, a `TrainingResult` or an `EvaluationResult`; a number that was not finite is null there."""
        stages = record["stage_seconds"] if job.kind == "generate" else {job.kind: record["seconds"]}
        for stage, seconds in stages.items():
            if seconds is not None:
                self._stages.labels(job.kind, *self._stage_labels.of(stage)).observe(seconds)
        for use in record.get("erasers", ()):
            self._uses.labels(*self._eraser_labels.of(use["concept"], str(use["version"]))).inc()
        for use in record.get("fallbacks", ()):
            self._fallbacks.labels(use["method"]).inc()


class _Bounded:
    """The first `most` combinations of labels as they are, every later one as `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[tuple[str, ...]] = set()

    def of(self, *labels: str) -> tuple[str, ...]:
        if labels not in self._known:
            if len(self._known) >= self._most:
                return (OTHER,) * len(labels)
            self._known.add(labels)
        return labels
