"""Worker processes over a real Valkey: they serve, stop when told, and leave nothing half done when they die."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

from redis import Redis

import erasers
from service.token_counts import TokenCounts
from tests.workers.parts import Valkey, lantern_pairs, pin, task_for
from tests.workers.processes import LEASE_SECONDS, Site, site
from workers.attempts import connection
from workers.contract import (
    GENERATE_QUEUE,
    FailureRecord,
    GenerationTask,
    ModelCard,
    PromptPair,
    Receipt,
    TrainingResult,
    TrainingTask,
    eraser_key,
    failure_key,
    model_key,
    receipt_key,
    training_result_key,
    video_key,
)
from workers.pipelines.base import VideoPipeline
from workers.process import MODEL_UNAVAILABLE_EXIT_CODE
from workers.runtime import UNFIT_EXIT_CODE
from workers.training.train import put_eraser

STEPS = 200


def long_task(pipeline: VideoPipeline, job_id: str, **changes: object) -> GenerationTask:
    """A few seconds of steps."""
    size = {"width": 96, "height": 96, "num_frames": 33, "num_inference_steps": STEPS}
    return task_for(pipeline, id=job_id, model="tiny-wan", **{**size, **changes})


def receipt_of(here: Site, job_id: str, attempt: int = 1) -> Receipt:
    return Receipt.model_validate_json(here.store.get(receipt_key(job_id, attempt)))


def test_serve_cancel_and_stop(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan: VideoPipeline, wan_directory: Path, wan_eraser: erasers.Eraser
) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        process = here.start()
        here.until(lambda: [worker["state"] for worker in here.workers()] in (["loading"], ["idle"]))
        here.until_ready()
        assert here.workers() == [{"kind": "generate", "model": "tiny-wan", "state": "idle", "pid": process.pid}]
        card = ModelCard.model_validate_json(here.store.get(model_key("tiny-wan")))
        assert card == wan.card(), "another process computed another fingerprint"
        for text in ("a parachute over the dunes", "  two   spaces ", "unknownword, and a &amp; b"):
            counted = TokenCounts(here.store).of(card, [text])
            assert counted is not None
            assert counted[0] <= len(wan.tokenizer(text).input_ids), "what fits would be refused"
        assert TokenCounts(here.store).of(card, ["a parachute"]) == [len(wan.tokenizer("a parachute").input_ids)]

        put_eraser(here.store, wan_eraser)
        here.submit(task_for(wan, pin(wan_eraser), id="gen_first"))
        here.until(lambda: here.store.exists(receipt_key("gen_first", 1)))
        assert receipt_of(here, "gen_first").erasers[0].tokens_edited > 0

        cancelled = long_task(wan, "gen_cancelled")
        here.submit(cancelled)
        here.until(lambda: here.steps("gen_cancelled"))
        assert here.workers()[0]["state"] == "busy"
        before = max(here.steps("gen_cancelled"))
        here.stop_job(cancelled)
        here.until(lambda: here.store.exists(failure_key("generate", "gen_cancelled", 1)))
        failure = FailureRecord.model_validate_json(here.store.get(failure_key("generate", "gen_cancelled", 1)))
        assert failure.code == "cancelled"
        assert before < STEPS
        assert max(here.steps("gen_cancelled")) < STEPS
        assert not here.store.exists(video_key("gen_cancelled", 1))

        unclear = {"prompt": task_for(wan).prompt, "attempt": 1}
        here.queue.submit("generate", "gen_unclear-1", {**unclear, "id": "gen_unclear"})
        here.enqueue_unsigned("workers.tasks.generate", unclear, rq_job="foreign")
        here.until(lambda: here.store.exists(failure_key("generate", "gen_unclear", 1)))
        here.submit(long_task(wan, "gen_last"))
        here.submit(long_task(wan, "gen_left"))
        here.until(lambda: here.steps("gen_last"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
        assert receipt_of(here, "gen_last"), "the running job was not finished"
        assert redis.llen(f"rq:queue:{GENERATE_QUEUE}") == 1, "the next job was started, or lost"
        assert here.workers() == []
        lines = [json.loads(line) for line in here.logs().splitlines()]
        told = [(line["job"], line["message"]) for line in lines if line.get("attempt") == 1 and line.get("kind") == "generate"]
        assert told == [
            ("gen_first", "succeeded"),
            ("gen_cancelled", "failed"),
            ("gen_unclear", "failed"),
            ("gen_last", "succeeded"),
        ]
        (unclear,) = [line for line in lines if line.get("job") == "gen_unclear"]
        assert unclear["code"] == "internal_error"
        record = FailureRecord.model_validate_json(here.store.get(failure_key("generate", "gen_unclear", 1)))
        assert "does not understand the task" in record.message
        (foreign,) = [line for line in lines if line.get("job") == "foreign"]
        assert "refused, and not run" in foreign["message"]
        assert task_for(wan).prompt not in here.logs(), "prompts must stay out of the log"


def test_killed_workers_and_a_killed_redis(
    mortal_valkey: Valkey, tmp_path: Path, wan: VideoPipeline, wan_directory: Path
) -> None:
    redis = connection.patient(mortal_valkey.url)
    with site(tmp_path, mortal_valkey.url, redis, wan_directory) as here:
        pids = {here.start().pid: index for index in range(2)}
        here.until_ready(2)
        here.submit(long_task(wan, "gen_1"))
        here.until(lambda: here.steps("gen_1"))
        [victim] = [worker["pid"] for worker in here.workers() if worker["state"] == "busy"]
        process = here.processes[pids[victim]]
        process.kill()
        process.wait()
        held = here.holder("gen_1")
        assert held is not None
        assert held["attempt"] == 1
        here.until(lambda: here.holder("gen_1") is None, within_seconds=LEASE_SECONDS + 1)
        assert here.store.list("videos") == [], "a killed worker left something behind"

        here.submit(long_task(wan, "gen_1", attempt=2))
        here.until(lambda: here.steps("gen_1"))
        mortal_valkey.kill()
        mortal_valkey.start()
        here.until(lambda: here.store.exists(receipt_key("gen_1", 2)))
        here.submit(task_for(wan, id="gen_2", model="tiny-wan"))
        here.until(lambda: here.store.exists(receipt_key("gen_2", 1)))

        here.submit(long_task(wan, "gen_3", width=128, height=128, num_frames=65))
        here.until(lambda: here.steps("gen_3"))
        [survivor] = [process for process in here.processes if process.poll() is None]
        survivor.send_signal(signal.SIGTERM)
        time.sleep(1.2)  # RQ takes a second signal within a second for an echo of the first
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(timeout=30) == 0
        assert here.holder("gen_3") is None, "a job that was given up must be free at once"
        assert not here.store.list("videos/gen_3")


def test_a_worker_that_ends_by_itself_asks_to_be_started_again(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan_directory: Path
) -> None:
    redis.set(f"rq:queue:{GENERATE_QUEUE}", "no list")  # an error that RQ knows no answer to: it ends its loop
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        assert here.start().wait(timeout=240) == UNFIT_EXIT_CODE
        assert "WRONGTYPE" in here.logs()


def test_a_trainer_and_a_worker_without_a_model(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan: VideoPipeline, wan_directory: Path
) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        trainer = here.start("train")
        misled = here.start("generate", CLEARWAY_MODEL=str(tmp_path / "nowhere"))
        assert misled.wait(timeout=120) == MODEL_UNAVAILABLE_EXIT_CODE
        assert "is no diffusers model" in here.logs()
        here.until_ready()
        pairs = lantern_pairs()
        task = TrainingTask(
            id="ers_1",
            attempt=1,
            model="tiny-wan",
            concept="lantern",
            version=1,
            method="steering",
            synonyms=("red lantern",),
            pairs=tuple(PromptPair(positive=p, negative=n) for p, n in zip(pairs.positive, pairs.negative, strict=True)),
        )
        here.submit(task)
        here.until(lambda: here.store.exists(training_result_key("ers_1", 1)))
        result = TrainingResult.model_validate_json(here.store.get(training_result_key("ers_1", 1)))
        assert result.encoder_fingerprint == wan.fingerprint
        assert here.store.exists(eraser_key(result.digest, "eraser.safetensors"))
        trainer.send_signal(signal.SIGTERM)
        assert trainer.wait(timeout=60) == 0
