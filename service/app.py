"""The composition root of the gateway: builds the parts from settings, starts and stops them with the server, mounts routes.

`uvicorn service.app:create_app --factory` serves it. Nothing is opened before the server's lifespan begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, closing
from typing import get_args

from fastapi import Depends, FastAPI
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from starlette.concurrency import run_in_threadpool

from service.authentication import Authentication
from service.catalogue import Catalogue
from service.domain.gate import Thresholds
from service.erasers.seed import shipped_erasers, take_in_all
from service.first_start import ensure_operator_key
from service.gateway import Gateway
from service.gauges import Gauges
from service.http import docs, handlers
from service.http.access import Access
from service.http.body_limit import BodyLimit
from service.http.connections import connections_for, descriptor_limit
from service.http.events import EventSource, StreamLimits
from service.http.headers import SingleHeaders
from service.http.query import check_query
from service.http.verified import VerifiedVideos
from service.lifecycle.backlog import Backlog
from service.lifecycle.connection import open_async_redis, open_redis
from service.lifecycle.flight import Flight
from service.lifecycle.loops import HintListener, Loop, Sweeper, running
from service.lifecycle.removal import Remover
from service.lifecycle.rq_queue import RqQueue
from service.lifecycle.settle import Settler
from service.lifecycle.sweep import Sweep
from service.lifecycle.window import Window
from service.logs import log_to_stderr
from service.metrics import Metrics
from service.readiness import StoreProbe
from service.routes import (
    aliases,
    archives,
    audit,
    erasers,
    events,
    gates,
    generations,
    health,
    keys,
    models,
    policies,
    videos,
    webhooks,
)
from service.routes import metrics as metrics_route
from service.settings import Settings
from service.store.database import Database
from service.store.keys import LimitName
from service.webhooks.deliverer import Deliverer, Patience
from service.webhooks.sender import Sender
from workers.contract import JobKind, model_id
from workers.private_files import close_data_directory
from workers.store.artifacts import open_store

MAX_BODY_BYTES = 256 * 2**10
MAX_TRAINING_BODY_BYTES = 4 * 2**20

_DESCRIPTION = """\
Text-to-video with concepts taken out, request by request. `POST /generate` with `erase` answers with a video made without them
and a receipt that says which erasers acted. Authorize with `Authorization: Bearer ck_…`.

Errors are always `{"error": {"code", "message", "param", "type"}}`.
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        log_to_stderr(settings.log_level, settings.log_format)
        redis_url = settings.redis_url.get_secret_value()
        with closing(open_redis(redis_url)) as redis:
            async with aclosing(open_async_redis(redis_url)) as async_redis:
                with closing(Database(settings.database_url.get_secret_value())) as database:
                    gateway, loops = await run_in_threadpool(_build, settings, database, redis, async_redis, metrics)
                    app.state.gateway = gateway
                    with running(loops):
                        yield

    app = FastAPI(
        title="Clearway",
        description=_DESCRIPTION,
        lifespan=lifespan,
        dependencies=[Depends(check_query)],
        responses=handlers.responses(),
        docs_url=None,  # `docs.install` serves it without another server
        redoc_url=None,
        redirect_slashes=False,  # Starlette's redirect repeats the client's `Host`
    )
    larger = {"/erasers": MAX_TRAINING_BODY_BYTES, "/erasers/import": settings.max_import_bytes}
    app.add_middleware(
        BodyLimit, max_bytes=MAX_BODY_BYTES, larger=larger, timeout_seconds=settings.body_timeout_seconds
    )
    app.add_middleware(Authentication)
    app.add_middleware(SingleHeaders)
    app.add_middleware(Access, metrics=metrics)  # added last, it sees every request first
    handlers.install(app)
    docs.install(app)
    registry = (archives, erasers, aliases, gates)
    for part in (generations, events, *registry, policies, audit, keys, webhooks, models, health, metrics_route, videos):
        app.include_router(part.router)
    return app


def _build(
    settings: Settings, database: Database, redis: Redis, async_redis: AsyncRedis, metrics: Metrics
) -> tuple[Gateway, list[Loop]]:
    """Everything that blocks at the start: migrations, the operator's key, the erasers that came with the model."""
    close_data_directory(settings.data_dir)
    store = open_store(settings.artifacts_url, settings.s3_access)
    database.migrate()
    ensure_operator_key(database, settings.operator_key_path)
    model = model_id(settings.model)
    shipped = shipped_erasers(model)
    if shipped is not None:
        take_in_all(database, store, shipped, model=model)
    queue = RqQueue(
        redis,
        settings.queue_keys(),
        generate_timeout_seconds=settings.generate_timeout_seconds,
        train_timeout_seconds=settings.train_timeout_seconds,
    )
    window = Window(database, queue, sizes=_window_sizes(settings))
    flight = Flight(redis)
    metrics.add(Gauges(database, flight))
    settler = Settler(database, store, window, metrics)
    remover = Remover(database, store, queue, flight)
    sweep = Sweep(
        database,
        queue,
        window,
        flight,
        settler,
        remover,
        lost_after_seconds=settings.lost_after_seconds,
        idempotency_seconds=settings.idempotency_seconds,
    )
    gateway = Gateway(
        database=database,
        store=store,
        store_probe=StoreProbe(store),
        verified=VerifiedVideos(store),
        queue=queue,
        window=window,
        flight=flight,
        catalogue=Catalogue(store, default_model=model),
        sweep=sweep,
        remover=remover,
        events=EventSource(
            async_redis,
            StreamLimits(
                total=connections_for(descriptor_limit()) // 2,
                per_key=settings.key_max_streams,
                per_job=settings.job_max_streams,
            ),
        ),
        thresholds=Thresholds.of(settings),
        interaction_erasers=settings.interaction_erasers,
        key_limits={name: getattr(settings, f"key_{name}") for name in get_args(LimitName)},
        backlog=Backlog(most=settings.max_queued),
        audit_prompts=settings.audit_prompts,
        verify_max_share=settings.verify_max_share,
        webhook_private=settings.webhook_private,
        metrics=metrics,
        metrics_token=settings.metrics_token,
    )
    sweeper = Sweeper(database, sweep, metrics, interval_seconds=settings.sweep_interval_seconds)
    listener = HintListener(redis, database, settler)
    deliverer = Deliverer(
        database,
        Sender(timeout_seconds=settings.webhook_timeout_seconds, private=settings.webhook_private),
        metrics,
        Patience(attempts=settings.webhook_attempts, first_pause_seconds=settings.webhook_retry_seconds),
        interval_seconds=settings.sweep_interval_seconds,
    )
    return gateway, [
        Loop("settle", listener.step),
        Loop("sweep", sweeper.step, at_end=sweeper.release),
        Loop("webhooks", deliverer.step, at_end=deliverer.stop),
    ]


def _window_sizes(settings: Settings) -> dict[JobKind, int]:
    """Trainings and evaluations have a window each: neither keeps the other from a trainer."""
    return {"generate": settings.generate_window, "train": settings.train_window, "evaluate": settings.train_window}
