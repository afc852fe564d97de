"""A worker whose Redis is written to by somebody else: it runs signed tasks of its own queue, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from redis import Redis
from rq.command import send_command, send_shutdown_command
from rq.job import Callback, Retry
from rq.queue import Queue
from rq.repeat import Repeat

from service.lifecycle.rq_queue import RqQueue
from tests.workers.parts import Valkey, task_for
from tests.workers.processes import Site, site
from workers.common_settings import CommonSettings
from workers.contract import GENERATE_FUNCTION, GENERATE_QUEUE, TRAIN_QUEUE, failure_key, receipt_key, rq_job_id, video_key
from workers.pipelines.base import VideoPipeline
from workers.process import SETTINGS_INVALID_EXIT_CODE
from workers.queue_messages import QueuedTask, QueueKeys, StopCommand

QUEUE_LIST = f"rq:queue:{GENERATE_QUEUE}"


def ran(file: Path) -> list[str]:
    """The words of a shell command that leaves a file behind."""
    return ["os.system", f"touch {file}"]


def put(redis: Redis, name: str, token: bytes) -> None:
    redis.hset(f"rq:job:{name}", mapping={"data": token, "status": "queued"})
    redis.rpush(QUEUE_LIST, name)


def refused(here: Site, name: str, because: str) -> None:
    lines = [json.loads(line) for line in here.logs().splitlines()]
    job = name.rpartition("-")[0]
    found = [line["message"] for line in lines if line.get("job") in (job, name) and line["message"].startswith("refused, and")]
    assert any(because in message for message in found), (name, because, found)


def test_nothing_in_redis_names_what_a_worker_runs(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan: VideoPipeline, wan_directory: Path
) -> None:
    touched = tmp_path / "touched"
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        process = here.start()
        here.until_ready()
        unsigned = task_for(wan, id="gen_unsigned", model="tiny-wan").model_dump(mode="json")
        here.enqueue_unsigned(*ran(touched), rq_job="gen_system-1")
        here.enqueue_unsigned("workers.tasks.generate", unsigned, rq_job="gen_unsigned-1")
        callbacks = {"on_success": Callback("os.abort"), "on_failure": Callback("os.abort")}
        here.enqueue_unsigned("workers.tasks.generate", unsigned, rq_job="gen_more-1", **callbacks)
        here.enqueue_unsigned("os.abort", rq_job="gen_again-1", retry=Retry(max=3), repeat=Repeat(times=3))
        pickled = Queue(GENERATE_QUEUE, connection=redis, serializer="pickle")
        pickled.enqueue(*ran(touched), job_id="gen_pickle-1", meta={"a": 1})
        redis.hset("rq:job:gen_torn-1", mapping={"data": b"v1.x", "timeout": "never", "status": "?", b"\xff": b"\xff"})
        redis.hset("rq:job:gen_bare-1", mapping={"status": "queued"})
        redis.rpush("rq:job:gen_list-1", "no hash")
        redis.rpush(QUEUE_LIST, "gen_torn-1", "gen_bare-1", "gen_list-1", b"\xff\xfe", "a name:with signs", "gen_absent-1")
        send_shutdown_command(redis, here.workers_of_rq()[0])
        redis.set("rq:suspended", 1)

        signed = task_for(wan, id="gen_signed", model="tiny-wan")
        here.submit(signed)
        name = rq_job_id("gen_signed", 1)
        called = {"success_callback_name": "os.abort", "failure_callback_name": "os.abort", "meta": b"cos\nabort\n(tR."}
        redis.hset(f"rq:job:{name}", mapping={**called, "timeout": -1, "repeats_left": 5, "repeat_intervals": "[1]"})
        here.until(lambda: here.store.exists(receipt_key("gen_signed", 1)))
        here.until(lambda: here.workers()[0]["state"] == "idle")

        for name in ("gen_system-1", "gen_unsigned-1", "gen_more-1", "gen_again-1", "gen_pickle-1", "gen_torn-1"):
            refused(here, name, "not a signed message")
            assert not redis.exists(f"rq:job:{name}")
        assert process.poll() is None, "a command that nobody signed was obeyed"
        assert "a command was ignored" in here.logs()
        assert not touched.exists()
        assert here.store.list("videos") == [receipt_key("gen_signed", 1), video_key("gen_signed", 1)]
        left = redis.lrange(f"{QUEUE_LIST}:intermediate", 0, -1)
        assert set(left) <= {b"gen_bare-1", b"gen_list-1", b"gen_absent-1"}, "RQ's maintenance removes names without a job"
        assert unsigned["prompt"] not in here.logs(), "prompts must stay out of the log"


def test_a_task_runs_as_signed_in_its_own_place_and_once(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan: VideoPipeline, wan_directory: Path
) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        here.start()
        here.until_ready()
        keys, foreign = CommonSettings().queue_keys(), QueueKeys("f" * 64)
        task = task_for(wan, id="gen_a", model="tiny-wan").model_dump(mode="json")
        message = QueuedTask(queue=GENERATE_QUEUE, name="gen_a-1", function=GENERATE_FUNCTION, timeout_seconds=60, task=task)

        def signed(**changes: object) -> bytes:
            return keys.sign(message.model_copy(update=changes))

        put(redis, "gen_a-1", keys.sign(message).replace(b'"seed":', b'"seed":1'))
        here.until(lambda: not redis.exists("rq:job:gen_a-1"))
        put(redis, "gen_b-1", keys.sign(message))
        put(redis, "gen_c-1", signed(name="gen_c-1"))
        put(redis, "gen_d-1", signed(name="gen_d-1", task={**task, "id": "gen_d", "attempt": 2}))
        put(redis, "gen_e-1", signed(queue=TRAIN_QUEUE, name="gen_e-1", task={**task, "id": "gen_e"}))
        put(redis, "gen_f-1", signed(function="os.abort", name="gen_f-1", task={**task, "id": "gen_f"}))
        put(redis, "gen_g-1", foreign.sign(message.model_copy(update={"name": "gen_g-1", "task": {**task, "id": "gen_g"}})))
        put(redis, "gen_a-1", keys.sign(message))
        here.until(lambda: here.store.exists(receipt_key("gen_a", 1)))
        refused(here, "gen_a-1", "changed on the way")
        refused(here, "gen_b-1", "signed for gen_a-1")
        refused(here, "gen_c-1", "another job or attempt")
        refused(here, "gen_d-1", "another job or attempt")
        refused(here, "gen_e-1", f"on {TRAIN_QUEUE}")
        refused(here, "gen_f-1", "no task function 'os.abort'")
        refused(here, "gen_g-1", "another key")

        before = here.store.stat(video_key("gen_a", 1)), here.store.stat(receipt_key("gen_a", 1))
        put(redis, "gen_a-1", keys.sign(message))  # again, after its end
        here.until(lambda: "delivered again after it had settled" in here.logs())
        assert (here.store.stat(video_key("gen_a", 1)), here.store.stat(receipt_key("gen_a", 1))) == before


def test_only_the_gateway_stops_an_attempt(
    valkey: Valkey, redis: Redis, tmp_path: Path, wan: VideoPipeline, wan_directory: Path
) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        here.start()
        here.until_ready()
        size = {"width": 96, "height": 96, "num_frames": 33, "num_inference_steps": 60}
        task = task_for(wan, id="gen_long", model="tiny-wan", **size)
        here.submit(task)
        here.until(lambda: here.steps("gen_long"))
        worker = here.workers_of_rq()[0]
        for command in ("stop-job", "kill-horse", "stop-execution"):
            send_command(redis, worker, command, job_id="gen_long-1")
        redis.publish(f"rq:pubsub:{worker}", QueueKeys("f" * 64).sign(StopCommand(name="gen_long-1")))
        here.until(lambda: here.logs().count("a command was ignored") == 4)
        here.until(lambda: here.store.exists(receipt_key("gen_long", 1)))
        assert not here.store.exists(failure_key("generate", "gen_long", 1))


@pytest.mark.parametrize("kind", ["generate", "train"])
def test_a_worker_without_a_key_does_not_start(
    kind: str, valkey: Valkey, redis: Redis, tmp_path: Path, wan_directory: Path
) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        assert here.start(kind, CLEARWAY_QUEUE_KEY="").wait(timeout=120) == SETTINGS_INVALID_EXIT_CODE
        assert "CLEARWAY_QUEUE_KEY is not set" in here.logs()


def test_the_gateways_queue_reads_names_and_states_of_anything(redis: Redis) -> None:
    queue = RqQueue(redis, CommonSettings().queue_keys(), generate_timeout_seconds=60, train_timeout_seconds=60)
    redis.rpush(QUEUE_LIST, b"\xff\xfe")
    queue.submit("generate", "gen_1-1", {"id": "gen_1", "attempt": 1})
    redis.hset("rq:job:gen_1-1", mapping={"status": "no such state", "timeout": "never", "meta": b"\x80\x04", "created_at": "?"})
    assert "gen_1-1" in queue.waiting("generate")
    assert queue.status("gen_1-1") == "ended"
    queue.remove("gen_1-1")
    redis.hset("rq:job:gen_1-1", "status", "queued")
    queue.remove("gen_1-1")
    assert queue.status("gen_1-1") is None
    assert "gen_1-1" not in queue.waiting("generate")
