"""The main job with the miniature, as a person does it: from the command line, through HTTP, measured on frames."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import erasers
from service.client import Client
from service.demo.run import PROMPTS
from tests.integration.running import Up, eventually, settled
from workers.miniature.weights import eraser_directory

pytestmark = pytest.mark.timeout(900)

PAPER_TEN = {
    *("church", "parachute", "french horn", "garbage truck", "gas pump"),
    *("golf ball", "springer dog", "tench", "chain saw", "cassette player"),
}


def clearway(up: Up, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(up, *arguments), capture_output=True, text=True, check=False)


def _command(up: Up, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "service", *arguments, "--data-dir", str(up.data_dir)]


@pytest.fixture(scope="module")
def client(miniature: Up) -> Iterator[Client]:
    with miniature.client() as client:
        yield client


@pytest.fixture(scope="module")
def evaluation(miniature: Up, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    """The folder of a finished evaluation of `parachute`, and the command that made it."""
    out = tmp_path_factory.mktemp("main-job") / "evaluation"
    arguments = ("evaluate", "--erase", "parachute", "--prompts", str(PROMPTS), "--seeds", "0,1", "--out", str(out))
    done = clearway(miniature, *arguments)
    assert done.returncode == 0, done.stderr
    return out, arguments


def test_the_shipped_erasers_are_active_after_the_first_start(client: Client) -> None:
    active = {concept["concept"] for concept in client.erasers() if concept["versions"][0]["status"] == "active"}
    assert active >= PAPER_TEN


def test_generate_writes_the_video_and_tells_what_acted(miniature: Up, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    done = clearway(miniature, "generate", "a parachute over the sea", "--erase", "parachute", "--seed", "3", "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert "parachute@1: layer" in done.stdout
    assert hashlib.sha256(out.read_bytes()).hexdigest() in done.stdout


def test_verified_on_the_frames(miniature: Up, client: Client, tmp_path: Path) -> None:
    """What is gone comes out, and the receipt says who looked; what an eraser without effect leaves does not."""
    prompt = "a parachute over the sea"
    options = ("--erase", "parachute", "--verify", "--seed", "3", "--out", str(tmp_path / "x.mp4"))
    done = clearway(miniature, "generate", prompt, *options)
    assert done.returncode == 0, done.stderr
    assert "parachute: seen in 0% of the frames by the detector miniature" in done.stdout
    idle = {"prompt": prompt, "erase": [{"concept": "parachute", "strength": 0}], "seed": 3, "allow_not_reduced": True}
    assert settled(miniature, client, client.generate(idle)["id"])["status"] == "succeeded"
    found_out = settled(miniature, client, client.generate({**idle, "verify": True})["id"])
    assert (found_out["status"], found_out["error"]["code"], found_out["attempt"]) == ("failed", "concept_seen", 1)


def test_a_concept_without_an_eraser_is_refused_with_near_misses(miniature: Up, tmp_path: Path) -> None:
    out = tmp_path / "x.mp4"
    done = clearway(miniature, "generate", "a parachute", "--erase", "parashute", "--out", str(out))
    assert done.returncode == 1
    assert "did you mean 'parachute'" in done.stderr
    assert "[unknown_concept" in done.stderr
    assert not out.exists()


def test_a_method_without_training_stands_in_where_that_is_asked_for(miniature: Up, tmp_path: Path) -> None:
    options = ("--erase", "cat", "--erase", "parachute", "--on-missing", "safree", "--out", str(tmp_path / "x.mp4"))
    done = clearway(miniature, "generate", "a cat over the sea", *options)
    assert done.returncode == 0, done.stderr
    assert "parachute@1: layer" in done.stdout
    assert re.search(r"cat: no eraser was active, safree stood in, .+; strength 1, ", done.stdout)


def test_interrupting_generate_cancels_it(miniature: Up, client: Client, tmp_path: Path) -> None:
    arguments = ("generate", "a cat", "--steps", "125", "--out", str(tmp_path / "x.mp4"))
    # A shell's background jobs ignore SIGINT, and so would what they start, this child among it.
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(_command(miniature, *arguments), stderr=subprocess.PIPE, preexec_fn=heed) as process:

        def running() -> list[str]:
            return [item["id"] for item in client.generations(status="running")["data"]]

        eventually(lambda: bool(running()), 60, miniature.log)
        (generation_id,) = running()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert f"Cancelling the generation {generation_id}" in said.decode()
    assert settled(miniature, client, generation_id)["status"] == "canceled"


def test_the_parachute_goes_and_the_dog_stays(evaluation: tuple[Path, tuple[str, ...]]) -> None:
    report = json.loads((evaluation[0] / "report.json").read_text())
    gone, stays = report["objects"]["parachute"], report["objects"]["springer dog"]
    assert gone["origin_rate"] > 0.75
    assert gone["erased_rate"] < 0.25 * gone["origin_rate"]
    assert stays["origin_rate"] > 0.7
    assert stays["erased_rate"] > 0.75 * stays["origin_rate"]


def test_evaluate_can_be_resumed(miniature: Up, evaluation: tuple[Path, tuple[str, ...]]) -> None:
    out, arguments = evaluation
    report = json.loads((out / "report.json").read_text())
    gone, stays = report["objects"]["parachute"], report["objects"]["springer dog"]
    assert gone["n"] == stays["n"] == 8
    assert gone["erased_rate"] < 0.1
    assert list(report["digests"]) == report["erase"] == ["parachute@1"]
    assert (out / "contact_sheet.png").stat().st_size > 10_000

    kept = {path: path.stat().st_mtime_ns for path in (out / "clips").iterdir()}
    assert len(kept) == 2 * 2 * 16  # with and without; video and record
    one = next(path for path in kept if path.suffix == ".json")
    one.unlink()
    started = time.time_ns()
    assert clearway(miniature, *arguments).returncode == 0
    made = {path for path in (out / "clips").iterdir() if path.stat().st_mtime_ns >= started}
    assert made == {one, one.with_suffix(".mp4")}
    assert json.loads((out / "report.json").read_text())["objects"] == report["objects"]


def test_evaluate_refuses_what_it_cannot_measure_before_it_generates(miniature: Up, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "an elephant", "objects": ["elephant"]}\n')
    arguments = ("--prompts", str(prompts), "--out", str(tmp_path / "out"))
    unseen = clearway(miniature, "evaluate", "--erase", "parachute", *arguments)
    assert (unseen.returncode, "cannot see 'elephant'" in unseen.stderr) == (1, True)
    prompts.write_text('{"prompt": "a dog", "objects": ["dog"]}\n')
    unknown = clearway(miniature, "evaluate", "--erase", "elephant", *arguments)
    assert (unknown.returncode, "no eraser for 'elephant'" in unknown.stderr) == (1, True)
    retired = clearway(miniature, "evaluate", "--erase", "parachute@7", *arguments)
    assert (retired.returncode, "there is @1 (active)" in retired.stderr) == (1, True)
    assert not (tmp_path / "out" / "clips").exists()


def test_a_new_eraser_is_trained_looked_at_activated_and_used(miniature: Up, client: Client, tmp_path: Path) -> None:
    trained = clearway(miniature, "erasers", "train", "umbrella")
    assert trained.returncode == 0, trained.stderr
    passed = client.report("umbrella", 1)["gate"]["passed"]
    assert ("The gate: passed" in trained.stdout) is passed
    assert ("clearway erasers activate 'umbrella@1'" in trained.stdout) is passed
    shown = json.loads(clearway(miniature, "erasers", "show", "umbrella@1").stdout)
    assert shown["status"] == "candidate"
    assert shown["evaluation"].keys() >= {"origin_rate", "erased_rate", "synonym_rate", "kept_rate"}
    assert clearway(miniature, "erasers", "activate", "umbrella@1", "--override", "--reason", "a test").returncode == 0
    used = clearway(miniature, "generate", "an umbrella", "--erase", "umbrella", "--out", str(tmp_path / "x.mp4"))
    assert used.returncode == 0, used.stderr
    assert "umbrella@1: layer" in used.stdout
    assert clearway(miniature, "erasers", "retire", "umbrella@1").returncode == 0
    assert client.version("umbrella", 1)["status"] == "retired"


@pytest.mark.parametrize("mask", [0.0, 0.02])
def test_an_import_that_hardly_erases_is_not_believed(miniature: Up, client: Client, tmp_path: Path, mask: float) -> None:
    """Its report is wonderful; of its direction nothing is left, or too little."""
    bundled = erasers.load(eraser_directory("parachute"))
    wonderful = {"origin_rate": 1.0, "erased_rate": 0.0, "synonym_rate": 0.0, "kept_rate": 1.0}
    tensors = dict(bundled.tensors)
    name = "m_spec" if "m_spec" in tensors else "direction"
    config = replace(bundled.config, minimum_strength=None, evaluation=wonderful)
    if name == "m_spec" or mask == 0:
        tensors[name] = tensors[name] * mask
    else:
        config = replace(config, strength=bundled.strength * mask)
    erasers.Eraser.build(config, tensors).save(tmp_path / "forged")
    imported = clearway(miniature, "erasers", "import", str(tmp_path / "forged"))
    assert imported.returncode == 0, imported.stderr
    assert "It is being evaluated" in imported.stdout
    version = client.eraser("parachute")["versions"][0]
    assert version["status"] in (("candidate", "failed") if mask == 0 else ("candidate",)), "the identity is found out fast"
    assert (version["claimed_evaluation"], version["evaluation"]) == (wonderful, None)
    list(client.follow_training("parachute", version["version"]))
    version = client.version("parachute", version["version"])
    if mask == 0:
        assert version["status"] == "failed"
        assert "is the identity" in version["evaluation_job"]["error"]["message"]
    else:
        assert version["evaluation"]["erased_rate"] > 0.5
    activated = clearway(miniature, "erasers", "activate", f"parachute@{version['version']}")
    assert activated.returncode == 1
    assert ("[invalid_state]" if mask == 0 else "[gate_not_passed]") in activated.stderr
    assert client.version("parachute", 1)["status"] == "active"


def test_keys_are_made_listed_and_revoked(miniature: Up) -> None:
    key = clearway(miniature, "keys", "create", "web shop").stdout.strip()
    listed = clearway(miniature, "keys", "list").stdout
    assert "web shop" in listed
    assert key not in listed
    environment = {**os.environ, "CLEARWAY_API_KEY": key}
    refused = subprocess.run(_command(miniature, "keys", "list"), env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, "[forbidden]" in refused.stderr) == (1, True)
    (key_id,) = [line.split()[0] for line in listed.splitlines() if "web shop" in line]
    assert clearway(miniature, "keys", "revoke", key_id).returncode == 0
    assert "web shop" not in clearway(miniature, "keys", "list").stdout
