"""One `clearway up` on a random model: jobs run, stop, survive what happens to the processes, and nothing stays behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.client import ApiError, Client
from tests.integration.conftest import StartUp
from tests.integration.running import Up, eventually, settled

SMALL = {"prompt": "a lantern by the river", "width": 32, "height": 32, "num_frames": 5, "num_inference_steps": 3, "seed": 1}
LONG = {**SMALL, "num_inference_steps": 200, "prompt": "a long video of a boat"}


@pytest.fixture(scope="module")
def up(start_up: StartUp, tiny_model: str, tmp_path_factory: pytest.TempPathFactory) -> Up:
    """In a directory whose name URLs read as something else, with proxies in the environment that lead nowhere."""
    directory = tmp_path_factory.mktemp("up") / "my data #1 ?x=2 %41"
    proxies = {"http_proxy": "http://127.0.0.1:9", "all_proxy": "socks5://127.0.0.1:9", "no_proxy": "[::1"}
    up = start_up(directory, model=tiny_model, **proxies)
    up.wait_until_ready()
    assert [path.name for path in directory.parent.iterdir() if path.suffix != ".out"] == [directory.name]
    return up


@pytest.fixture(scope="module")
def client(up: Up) -> Iterator[Client]:
    with up.client() as client:
        yield client


def running(up: Up, client: Client, request: dict[str, Any]) -> str:
    """A generation that a worker has begun to denoise."""
    generation_id: str = client.generate(request)["id"]

    def has_stepped() -> bool:
        generation = client.generation(generation_id)
        assert generation["status"] in ("queued", "running"), generation
        return bool(generation["progress"] and generation["progress"]["step"])

    eventually(has_stepped, 60, up.log)
    return generation_id


def test_a_generation_gives_the_video_that_its_receipt_describes(up: Up, client: Client) -> None:
    generation = settled(up, client, client.generate(SMALL)["id"])
    assert generation["status"] == "succeeded", generation["error"]
    video, receipt = client.video(generation["id"]), client.receipt(generation["id"])
    assert video[4:8] == b"ftyp"
    assert hashlib.sha256(video).hexdigest() == receipt["video_sha256"]
    assert (receipt["width"], receipt["height"], receipt["num_frames"], receipt["seed"]) == (32, 32, 5, 1)


def test_the_logs_of_up_are_text_and_name_the_job(up: Up, client: Client) -> None:
    generation = settled(up, client, client.generate(SMALL)["id"])
    about = f"[job={generation['id']} attempt=1 kind=generate "
    assert f" INFO workers.tasks: succeeded {about}" in (up.data_dir / "logs" / "worker.log").read_text()
    assert f"job={generation['id']} attempt=1 kind=generate key=" in (up.data_dir / "logs" / "gateway.log").read_text()


def test_events_tell_steps_and_the_end(client: Client) -> None:
    generation_id = client.generate(SMALL)["id"]
    events = list(client.follow_generation(generation_id))
    steps = [event.data["step"] for event in events if event.name == "step" and event.data["stage"] == "denoise"]
    assert steps == sorted(steps)
    assert steps[-1] == 3  # steps that follow each other within milliseconds are told as one
    assert events[-1].name == "settled"
    assert events[-1].data["status"] == "succeeded"


def test_cancel_ends_a_running_generation_and_the_worker_goes_on(up: Up, client: Client) -> None:
    generation_id = running(up, client, LONG)
    assert client.cancel(generation_id)["status"] == "canceled"
    assert settled(up, client, client.generate(SMALL)["id"])["status"] == "succeeded"
    with pytest.raises(ApiError) as refused:
        client.video(generation_id)
    assert refused.value.code == "not_finished"


def test_a_second_up_on_the_directory_is_refused(up: Up, client: Client) -> None:
    command = [sys.executable, "-m", "service", "up", "--data-dir", str(up.data_dir), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert "is in use by another `clearway up`" in second.stderr
    assert client.url in second.stderr
    assert "Traceback" not in second.stderr
    client.ready()


def test_a_wiped_queue_loses_nothing_that_was_accepted(up: Up, client: Client) -> None:
    first = running(up, client, LONG)
    waiting = [client.generate(SMALL)["id"] for _ in range(3)]
    up.queue().flushall()
    assert [settled(up, client, each)["status"] for each in (first, *waiting)] == ["succeeded"] * 4


@pytest.mark.parametrize("module", ["workers.gpu_worker", "valkey-server", "service.server"])
def test_a_killed_process_is_replaced_and_its_work_done(up: Up, client: Client, module: str) -> None:
    killed = up.process_of(module)
    generation_id = running(up, client, LONG)
    os.kill(killed, signal.SIGKILL)
    generation = settled(up, client, generation_id)
    assert generation["status"] == "succeeded", generation["error"]
    assert generation["attempt"] == (2 if module == "workers.gpu_worker" else 1)
    eventually(lambda: killed not in up.processes() and any(module in command for command in up.processes().values()), 30, up.log)


def test_stopping_leaves_no_process_and_starting_again_finds_everything(
    up: Up, client: Client, start_up: StartUp, tiny_model: str
) -> None:
    finished = settled(up, client, client.generate(SMALL)["id"])
    video = client.video(finished["id"])
    underway, waiting = running(up, client, LONG), client.generate({**SMALL, "seed": 5})["id"]
    before = set(up.processes())
    assert len(before) >= 4
    assert up.stop(signal.SIGINT) == 0
    assert up.processes() == {}
    assert "Stopped." in up.output.read_text()

    again = start_up(up.data_dir, model=tiny_model)
    again.wait_until_ready()
    with again.client() as after:
        assert after.generation(finished["id"]) == finished
        assert after.video(finished["id"]) == video
        for generation_id in (underway, waiting):
            assert settled(again, after, generation_id)["status"] == "succeeded"
        key = after.create_key({"name": "somebody"})["key"]
        with Client(after.url, key) as user, pytest.raises(ApiError) as refused:
            user.generation(finished["id"])
        assert refused.value.code == "not_found"  # another key's
    assert again.stop(signal.SIGTERM) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_killed_supervisor_takes_its_children_along(start_up: StartUp, tiny_model: str, tmp_path: Path) -> None:
    up = start_up(tmp_path / "data", model=tiny_model)
    eventually(lambda: len(up.processes()) >= 4, 60, up.log)
    up.process.kill()
    eventually(lambda: up.processes() == {}, 10)


def test_a_setting_that_cannot_be_used_is_one_line(start_up: StartUp, tiny_model: str, tmp_path: Path) -> None:
    for name, value in (("CLEARWAY_GATE_MAX_ERASED", "2"), ("CLEARWAY_DTYPE", "int8")):
        up = start_up(tmp_path / name, model=tiny_model, **{name: value})
        assert up.process.wait(timeout=60) == 1
        assert name in up.output.read_text()
        assert "Traceback" not in up.output.read_text()


def test_a_model_that_is_not_there_is_told_at_the_terminal(start_up: StartUp, tmp_path: Path) -> None:
    up = start_up(tmp_path / "data", model=str(tmp_path / "no-such-model"))
    assert up.process.wait(timeout=180) == 1
    assert "no-such-model" in up.output.read_text()
    assert up.processes() == {}
