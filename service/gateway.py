"""The parts of a running gateway, put together once by `service.app` and handed to every route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from service.catalogue import Catalogue
from service.domain.gate import Thresholds
from service.http.events import EventSource
from service.http.verified import VerifiedVideos
from service.lifecycle.backlog import Backlog
from service.lifecycle.flight import Flight
from service.lifecycle.queue import JobQueue
from service.lifecycle.removal import Remover
from service.lifecycle.sweep import Sweep
from service.lifecycle.window import Window
from service.metrics import Metrics
from service.readiness import StoreProbe
from service.store.database import Database
from service.store.keys import LimitName
from workers.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class Gateway:
    database: Database
    store: ArtifactStore
    store_probe: StoreProbe
    verified: VerifiedVideos
    queue: JobQueue
    window: Window
    flight: Flight
    catalogue: Catalogue
    sweep: Sweep
    remover: Remover
    events: EventSource
    thresholds: Thresholds
    interaction_erasers: int
    key_limits: Mapping[LimitName, int | None]  # of a new key that is given no others
    backlog: Backlog
    audit_prompts: bool
    verify_max_share: float
    webhook_private: bool
    metrics: Metrics
    metrics_token: SecretStr
