"""Looking at the frames afterwards, with the real miniature: what is still seen is withheld, what is gone comes out."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

import erasers
from tests.pictures import photograph
from tests.workers.parts import Valkey, pin
from tests.workers.processes import site
from tests.workers.test_generation import failure_of, receipt_of, run
from workers.contract import Check, CheckPin, Detectors, GenerationTask, detectors_key, video_key
from workers.detection.watch import Watch
from workers.errors import ConceptSeen, NotVerifiable
from workers.generation.verification import MINIATURE, check_pins, known, look, withhold
from workers.miniature.weights import eraser_directory
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.process import DETECTOR_UNAVAILABLE_EXIT_CODE
from workers.process import run as run_process
from workers.residency.resident import Resident
from workers.settings import WorkerSettings
from workers.store.artifacts import DirectoryStore
from workers.training.train import put_eraser

CAT = {"kind": "imagenet", "classes": "tabby, tiger cat, Egyptian cat"}
PARACHUTE = CheckPin(concept="parachute", detector=MINIATURE, max_share=0.0)


def watch_of(**detectors: dict[str, object]) -> Watch:
    return Watch.of(WorkerSettings.model_validate({"detectors": detectors}))


@pytest.fixture(scope="module")
def miniature() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature", device="cpu"))


@pytest.fixture
def task(
    miniature: VideoPipeline, make_resident: Callable[..., Resident], store: DirectoryStore
) -> Callable[..., GenerationTask]:
    make_resident(miniature)
    eraser = erasers.load(eraser_directory("parachute"))
    put_eraser(store, eraser)
    card = miniature.card()

    def make(strength: float | None, checks: tuple[CheckPin, ...] = (PARACHUTE,)) -> GenerationTask:
        return GenerationTask(
            id="gen_1", attempt=1, model="miniature", prompt="a parachute over the sea", checks=checks, seed=0,
            erase=(pin(eraser, strength=strength, must_reduce=strength != 0),),
            width=card.default_width, height=card.default_height, num_frames=card.default_num_frames,
            num_inference_steps=card.default_num_inference_steps,
            guidance_scale=card.default_guidance_scale, frames_per_second=card.default_frames_per_second,
        )  # fmt: skip

    return make


def test_an_eraser_that_does_nothing_is_found_out(task: Callable[..., GenerationTask], store: DirectoryStore) -> None:
    run(task(0.0))
    failure = failure_of(store, task(0.0))  # and there is no video
    assert (failure.code, failure.retryable) == ("concept_seen", False)
    assert "'parachute' is seen in " in failure.message
    assert "of 9 frames by the detector miniature" in failure.message


def test_the_same_without_verification_comes_out(task: Callable[..., GenerationTask], store: DirectoryStore) -> None:
    run(task(0.0, checks=()))
    assert store.exists(video_key("gen_1", 1))
    assert receipt_of(store, task(0.0)).checks == ()


def test_an_eraser_that_works_has_it_on_the_receipt(task: Callable[..., GenerationTask], store: DirectoryStore) -> None:
    run(task(None))
    receipt = receipt_of(store, task(None))
    assert receipt.checks == (Check(**PARACHUTE.model_dump(), share=0.0, verdict="not_seen"),)
    assert "verify" in receipt.stage_seconds
    assert store.exists(video_key("gen_1", 1))


def test_what_was_promised_and_is_not_here_fails_before_anything_is_made(
    task: Callable[..., GenerationTask], store: DirectoryStore
) -> None:
    run(task(None, checks=(CheckPin(concept="parachute", detector="nsfw", max_share=0.0),)))
    failure = failure_of(store, task(None))
    assert (failure.code, failure.retryable) == ("not_verifiable", False)
    assert "this worker has the detector miniature for it" in failure.message


def test_who_can_be_looked_for() -> None:
    watch = watch_of(Cat=CAT)
    assert known("Wan-AI/Wan2.2-TI2V-5B-Diffusers", watch) == {"cat": "imagenet"}
    miniature = known("miniature", watch)
    assert (miniature["cat"], miniature["parachute"], miniature["skydiver"]) == ("imagenet", MINIATURE, MINIATURE)
    check_pins([CheckPin(concept="cat", detector="imagenet", max_share=0)], "other", watch)
    for concept, detector in (("dog", "imagenet"), ("cat", "nsfw")):
        with pytest.raises(NotVerifiable, match=f"'{concept}'"):
            check_pins([CheckPin(concept=concept, detector=detector, max_share=0)], "other", watch)


def test_shares_and_the_threshold_on_photographs() -> None:
    cat, coffee = (photograph(name)[:300, :400] for name in ("cat", "coffee"))
    frames = np.stack([cat, coffee, coffee, coffee])
    watch, steps = watch_of(cat=CAT), []
    pins = [CheckPin(concept="cat", detector="imagenet", max_share=most) for most in (0.0, 0.24, 0.25)]
    seen = look(pins, frames, watch, lambda *step: steps.append(step))
    assert [(check.share, check.verdict) for check in seen] == [(0.25, "seen"), (0.25, "seen"), (0.25, "not_seen")]
    assert steps == [(1, 3), (2, 3), (3, 3)]
    withhold(seen[2:], 4)
    with pytest.raises(ConceptSeen, match="'cat' is seen in 1 of 4 frames by the detector imagenet, and 24% of them may show it"):
        withhold(seen[1:], 4)


def test_a_worker_tells_what_it_can_look_for(valkey: Valkey, redis: Redis, tmp_path: Path, wan_directory: Path) -> None:
    with site(tmp_path, valkey.url, redis, wan_directory) as here:
        here.start("generate", CLEARWAY_DETECTORS='{"Cat": {"kind": "imagenet", "classes": "tabby"}}')
        here.until_ready()
        told = Detectors.model_validate_json(here.store.get(detectors_key("tiny-wan")))
    assert told.detectors == {"cat": "imagenet"}


def test_a_worker_without_a_detectors_package_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    settings = WorkerSettings.model_validate({"data_dir": tmp_path, "detectors": {"nudity": {"kind": "nudenet"}}})
    assert run_process("generate", settings) == DETECTOR_UNAVAILABLE_EXIT_CODE
    assert "needs the package nudenet" in capsys.readouterr().err
