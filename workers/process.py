"""The composition root of both worker processes: settings → connections → model → worker."""

from __future__ import annotations

import logging
import os
import sys
from types import TracebackType

import diffusers
import transformers

from workers import log_lines
from workers.attempts import connection
from workers.attempts.presence import Presence, new_worker_name
from workers.attempts.ticker import ticking
from workers.common_settings import SettingsInvalid
from workers.contract import GENERATE_QUEUE, TRAIN_QUEUE, Detectors, WorkerKind, detectors_key, model_id, model_key, tokenizer_key
from workers.detection.watch import Watch
from workers.errors import DetectorUnavailable, ModelUnavailable
from workers.generation.verification import known
from workers.pipelines.load import load_pipeline
from workers.private_files import UMASK, NotPrivate, close_data_directory
from workers.residency.eraser_cache import EraserCache
from workers.residency.fallbacks import Fallbacks
from workers.residency.resident import Resident, install
from workers.runtime import ResidentWorker
from workers.settings import WorkerSettings
from workers.store.artifacts import StoreRefuses, open_store
from workers.store.patience import PatientStore

logger = logging.getLogger(__name__)

_QUEUES: dict[WorkerKind, str] = {"generate": GENERATE_QUEUE, "train": TRAIN_QUEUE}
MODEL_UNAVAILABLE_EXIT_CODE = 3
DETECTOR_UNAVAILABLE_EXIT_CODE = 4
STORE_REFUSES_EXIT_CODE = 5
SETTINGS_INVALID_EXIT_CODE = 6


def main(kind: WorkerKind) -> int:
    """Run a worker with the settings of the environment. Returns the exit code."""
    os.umask(UMASK)
    try:
        settings = WorkerSettings.from_environment()
        settings.queue_keys()
        if settings.data_dir.exists():  # with addresses of their own for everything, workers need none
            close_data_directory(settings.data_dir)
    except (SettingsInvalid, NotPrivate) as invalid:
        sys.stderr.write(f"{invalid}\n")
        return SETTINGS_INVALID_EXIT_CODE
    return run(kind, settings)


def run(kind: WorkerKind, settings: WorkerSettings) -> int:
    """Load the model, then work until asked to stop. Returns the exit code."""
    _log_to_stderr(settings)
    try:
        watch = Watch.of(settings, with_probes=kind == "train")
        watch.load()
    except DetectorUnavailable as error:
        logger.critical("%s", error)
        return DETECTOR_UNAVAILABLE_EXIT_CODE
    redis_url = settings.redis_url.get_secret_value()
    queue_redis, redis = connection.patient(redis_url), connection.brisk(redis_url)
    connection.wait_until_up(redis)
    presence = Presence(redis, name=new_worker_name(kind), kind=kind, model=model_id(settings.model))
    try:
        with ticking("loading", presence.show, every_seconds=settings.heartbeat_seconds):
            pipeline = load_pipeline(settings, encoder_in_float32=kind == "train")
    except ModelUnavailable as error:
        logger.critical("%s", error)
        presence.leave()
        return MODEL_UNAVAILABLE_EXIT_CODE
    card = pipeline.card()
    store = PatientStore(open_store(settings.artifacts_url, settings.s3_access), seconds=settings.store_patience_seconds)
    try:
        backend = getattr(pipeline.tokenizer, "backend_tokenizer", None)
        if backend is not None:  # with it the gateway refuses prompts that are too long
            store.put(tokenizer_key(card.encoder_fingerprint), backend.to_str().encode())
        store.put(model_key(card.id), card.model_dump_json(indent=2).encode())
        if kind == "generate":  # who verifies
            told = Detectors(model=card.id, detectors=known(card.id, watch))
            store.put(detectors_key(card.id), told.model_dump_json(indent=2).encode())
    except StoreRefuses as error:
        logger.critical("%s", error)
        presence.leave()
        return STORE_REFUSES_EXIT_CODE
    cache = EraserCache(store, fingerprint=pipeline.fingerprint, device=pipeline.device, max_bytes=settings.eraser_cache_bytes)
    resident = Resident(
        kind=kind,
        settings=settings,
        redis=redis,
        store=store,
        pipeline=pipeline,
        erasers=cache,
        fallbacks=Fallbacks(pipeline),
        presence=presence,
        watch=watch,
    )
    install(resident)
    logger.info("%s holds %s on %s", resident.name, pipeline.card().id, pipeline.device)
    return ResidentWorker(_QUEUES[kind], connection=queue_redis, resident=resident, keys=settings.queue_keys()).run()


def _log_to_stderr(settings: WorkerSettings) -> None:
    """All of it: RQ's lines, those of model libraries, warnings, and what ends the process."""
    logging.basicConfig(handlers=[log_lines.stderr_handler(settings.log_format)], level=settings.log_level, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _tell_defect
    if settings.log_level != "DEBUG":
        logging.getLogger("rq.worker").setLevel(logging.WARNING)  # it calls every job that returned OK, failed ones too
    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
        library.disable_default_handler()
        library.enable_propagation()


def _tell_defect(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    logger.critical("this ends the process", exc_info=(kind, error, trace))
