"""A generation from payload to receipt, in this process: what is published, and what never is."""

from __future__ import annotations

import gc
import hashlib
import io
import json
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from redis import Redis
from rq.timeouts import JobTimeoutException

import erasers
from tests.workers.parts import lantern_pairs, pin, task_for
from workers import tasks
from workers.contract import (
    SETTLED_STREAM,
    EraserPin,
    FailureRecord,
    FallbackPin,
    GenerationTask,
    Receipt,
    events_key,
    failure_key,
    lease_key,
    receipt_key,
    video_key,
)
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place
from workers.residency.resident import Resident
from workers.store.artifacts import DirectoryStore
from workers.store.patience import PatientStore
from workers.training.train import put_eraser

MakeResident = Callable[..., Resident]
LANTERN, CAT = "a lantern over the big hill", "a cat near the river"


def run(task: GenerationTask) -> None:
    tasks.generate(task.model_dump(mode="json"))


def receipt_of(store: DirectoryStore, task: GenerationTask) -> Receipt:
    return Receipt.model_validate_json(store.get(receipt_key(task.id, task.attempt)))


def failure_of(store: DirectoryStore, task: GenerationTask) -> FailureRecord:
    """And nothing else may be there."""
    assert store.list("videos") == [failure_key("generate", task.id, task.attempt)]
    return FailureRecord.model_validate_json(store.get(failure_key("generate", task.id, task.attempt)))


def events(redis: Redis, job_id: str) -> list[tuple[str, dict[str, Any]]]:
    entries: Any = redis.xrange(events_key(job_id))
    return [(fields[b"event"].decode(), json.loads(fields[b"data"])) for _, fields in entries]


def test_end_to_end(
    pipeline: VideoPipeline, eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore, redis: Redis
) -> None:
    here = make_resident(pipeline)
    put_eraser(store, eraser)
    erased, origin = task_for(pipeline, pin(eraser, version=3), id="gen_erased"), task_for(pipeline, id="gen_origin")
    run(erased)
    run(origin)

    video = store.get(video_key(erased.id, 1))
    receipt = receipt_of(store, erased)
    use = receipt.erasers[0]
    assert (use.concept, use.version, use.digest, use.layer) == ("lantern", 3, eraser.digest, eraser.layer)
    assert use.tokens_edited > 0
    if eraser.config.presence is None:  # nothing reads a lantern from CogVideoX's random weights
        assert (use.score_before, use.score_after, use.absent_below, use.verdict) == (None, None, None, None)
    else:
        assert use.verdict == "removed"
        assert use.score_after <= use.absent_below < use.score_before
    assert use.strength == eraser.strength == 2.0
    assert receipt.encoder_fingerprint == pipeline.fingerprint
    assert (receipt.video_sha256, receipt.video_bytes) == (hashlib.sha256(video).hexdigest(), len(video))
    assert receipt.prompt_sha256 == hashlib.sha256(erased.prompt.encode()).hexdigest()
    asked = erased.model_dump(include=set(Receipt.model_fields) & set(GenerationTask.model_fields))
    assert receipt.model_dump(include=set(asked)) == asked
    assert set(receipt.stage_seconds) == {"erasers", "encode", "denoise", "decode", "mp4", "store"}
    assert receipt.peak_memory_bytes > 10_000_000
    assert receipt.worker == here.name

    frames = [decoded(store.get(video_key(task.id, 1))) for task in (erased, origin)]
    assert frames[0].shape == frames[1].shape == (9, 32, 32, 3)
    assert np.abs(frames[0].astype(int) - frames[1]).mean() > 0.1, "the eraser made no difference to the picture"
    assert receipt_of(store, origin).erasers == ()

    assert [name for name, _ in events(redis, erased.id)][:2] == ["started", "stage"]
    steps = [data for name, data in events(redis, erased.id) if name == "step"]
    assert steps[-1] == {"stage": "denoise", "step": 4, "total": 4}
    assert events(redis, erased.id)[-1][0] == "finished"
    hints: Any = redis.xrange(SETTLED_STREAM)
    assert hints[0][1] == {b"kind": b"generate", b"id": b"gen_erased", b"attempt": b"1"}
    assert redis.get(lease_key(erased.id)) is None


def decoded(video: bytes) -> np.ndarray:
    with av.open(io.BytesIO(video)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_the_same_task_gives_the_same_bytes(
    pipeline: VideoPipeline, eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(pipeline)
    put_eraser(store, eraser)
    for attempt in (1, 2):
        run(task_for(pipeline, pin(eraser), attempt=attempt))
        run(task_for(pipeline, id="gen_between", attempt=attempt, seed=attempt))  # leaves no trace in the next one
    assert store.get(video_key("gen_1", 1)) == store.get(video_key("gen_1", 2))


def test_the_clients_strength_is_what_acts(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    run(task_for(wan, id="gen_origin"))
    run(task_for(wan, pin(wan_eraser, strength=0.0, must_reduce=False), id="gen_zero"))
    run(task_for(wan, pin(wan_eraser, strength=0.5, must_reduce=False), id="gen_half"))
    assert [receipt_of(store, task_for(wan, id=f"gen_{n}")).erasers[0].strength for n in ("zero", "half")] == [0.0, 0.5]
    origin, zero, half = (decoded(store.get(video_key(f"gen_{n}", 1))) for n in ("origin", "zero", "half"))
    assert np.array_equal(origin, zero)
    assert not np.array_equal(origin, half)


def test_a_concept_that_is_not_reduced_fails_the_job_unless_that_is_allowed(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    allowed = task_for(wan, pin(wan_eraser, strength=0.01, must_reduce=False), id="gen_allowed")
    run(allowed)
    use = receipt_of(store, allowed).erasers[0]
    assert use.verdict == "not_reduced"
    assert use.score_before > use.score_after > use.absent_below
    store.delete("videos/gen_allowed")
    run(task := task_for(wan, pin(wan_eraser, strength=0.01)))
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == ("concept_not_reduced", False)
    assert "lantern" in failure.message


def test_an_eraser_that_guidance_would_not_carry_fails_the_job(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    eraser = erasers.train(wan.text_encoder, wan.tokenizer, lantern_pairs(), method="negprompt")
    put_eraser(store, eraser)
    without, half = (task_for(wan, pin(eraser), id=f"gen_{scale:g}", guidance_scale=scale) for scale in (1.0, 4.0))
    run(half)
    assert receipt_of(store, half).erasers[0].tokens_edited == 2
    store.delete("videos/gen_4")
    run(without)
    assert failure_of(store, without).code == "invalid_request"


def test_a_missing_eraser_fails_the_job(wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore) -> None:
    make_resident(wan)
    task = task_for(wan, EraserPin(concept="lantern", version=1, digest="a" * 64))
    run(task)
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == ("eraser_unavailable", False)
    assert "lantern" in failure.message


def test_one_bad_eraser_of_two_fails_the_job(
    wan: VideoPipeline,
    wan_eraser: erasers.Eraser,
    cogvideox_eraser: erasers.Eraser,
    make_resident: MakeResident,
    store: DirectoryStore,
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    put_eraser(store, cogvideox_eraser)
    task = task_for(wan, pin(wan_eraser), pin(cogvideox_eraser))
    run(task)
    assert failure_of(store, task).code == "eraser_incompatible"


def test_a_tampered_eraser_fails_the_job(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    key = f"erasers/{wan_eraser.digest}/config.json"
    store.put(key, store.get(key).replace(b'"strength": 2.0', b'"strength": 0.0'))
    task = task_for(wan, pin(wan_eraser))
    run(task)
    assert failure_of(store, task).code == "eraser_corrupt"


def test_an_eraser_that_edits_nothing_of_its_concept_fails_the_job(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    idle = {name: torch.zeros_like(tensor) for name, tensor in wan_eraser.tensors.items()}
    eraser = erasers.Eraser.build(wan_eraser.config, idle)
    make_resident(wan)
    put_eraser(store, eraser)
    task = task_for(wan, pin(eraser))
    run(task)
    failure = failure_of(store, task)
    assert failure.code == "eraser_inactive"
    assert "names 'lantern'" in failure.message
    other = task_for(wan, pin(eraser), id="gen_cat", prompt="a cat near the river")
    run(other)
    assert receipt_of(store, other).erasers[0].tokens_edited == 0, "a prompt without the concept may be left alone"


def test_a_gate_that_stays_shut_before_its_concept_fails_the_job(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    from erasers.artefact import MAX_MAGNITUDE, Gate

    shut = erasers.Eraser.build(replace(wan_eraser.config, gate=Gate(MAX_MAGNITUDE, 0.01)), wan_eraser.tensors)
    make_resident(wan)
    put_eraser(store, shut)
    task = task_for(wan, pin(shut))
    run(task)
    assert failure_of(store, task).code == "eraser_inactive"


def test_an_eraser_whose_hook_never_ran_fails_the_job(
    wan: VideoPipeline,
    wan_eraser: erasers.Eraser,
    make_resident: MakeResident,
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    encode = wan.encode
    monkeypatch.setattr(wan, "encode", lambda prompt, negative, stack: encode(prompt, negative, Stack()), raising=True)
    task = task_for(wan, pin(wan_eraser))
    run(task)
    assert failure_of(store, task).code == "eraser_inactive"


def test_a_prompt_that_was_not_encoded_through_the_stack_fails_the_job(
    wan: VideoPipeline,
    wan_eraser: erasers.Eraser,
    make_resident: MakeResident,
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipeline returns cached embeddings. The prompt does not name the concept, so no other check fails."""
    make_resident(wan)
    put_eraser(store, wan_eraser)
    pipe: Any = wan.pipe  # type: ignore[attr-defined]
    kept = pipe.encode_prompt(CAT, do_classifier_free_guidance=False, max_sequence_length=16)
    task = task_for(wan, pin(wan_eraser), prompt=CAT)
    run(task)
    assert receipt_of(store, task).erasers[0].score_before != 0.0
    store.delete("videos/gen_1")
    monkeypatch.setattr(pipe, "encode_prompt", lambda *_, **__: kept)
    safree = FallbackPin(concept="hill", method="safree", settings={}, strength=1.0)
    for pins, fallbacks in (((pin(wan_eraser),), ()), ((), (safree,))):
        cached = task_for(wan, *pins, prompt=CAT, fallbacks=fallbacks)
        run(cached)
        failure = failure_of(store, cached)
        assert failure.code == "eraser_inactive"
        assert "was applied to 0 prompts instead of 1" in failure.message
        store.delete("videos/gen_1")


def test_a_negative_prompt_that_was_not_given_to_its_eraser_fails_the_job(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan)
    monkeypatch.setattr(erasers.Handle, "negative_prompt", lambda handle, text: text)
    fallback = FallbackPin(concept="lantern", method="negprompt", settings={}, strength=1.0)
    task = task_for(wan, prompt=CAT, guidance_scale=4.0, fallbacks=(fallback,))
    run(task)
    failure = failure_of(store, task)
    assert failure.code == "eraser_inactive"
    assert "was applied to 0 negative prompts instead of 1" in failure.message


def test_a_compiled_encoder_erases_as_it_does_uncompiled(wan_directory: Path, wan_eraser: erasers.Eraser) -> None:
    pipeline = load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu", "float32"))
    stack = Stack((wan_eraser,), (None,))
    origin, wanted = (pipeline.encode(LANTERN, "", one).prompt_embeds for one in (Stack(), stack))
    pipeline.text_encoder.compile(backend="eager")
    torch.testing.assert_close(pipeline.encode(LANTERN, "", Stack()).prompt_embeds, origin)
    torch.testing.assert_close(pipeline.encode(LANTERN, "", stack).prompt_embeds, wanted)
    assert not torch.equal(wanted, origin)
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"prompt": "red " * 40}, "prompt_too_long"),
        ({"negative_prompt": "red " * 40}, "prompt_too_long"),
        ({"width": 40}, "invalid_request"),
        ({"height": 4096}, "invalid_request"),
        ({"num_frames": 10}, "invalid_request"),
        ({"num_frames": 0}, "invalid_request"),
        ({"num_inference_steps": 0}, "invalid_request"),
        ({"negative_prompt": "blue", "guidance_scale": 1.0}, "invalid_request"),
        ({"frames_per_second": 0}, "invalid_request"),
        ({"model": "another"}, "model_unavailable"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, changes: dict[str, Any], code: str
) -> None:
    make_resident(wan)
    task = task_for(wan, **changes)
    run(task)
    assert failure_of(store, task).code == code


def test_a_payload_of_another_version_is_refused(wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore) -> None:
    """It may carry an instruction that this version does not know; to ignore it could be to leave an eraser out."""
    make_resident(wan)
    task = task_for(wan)
    tasks.generate(task.model_dump(mode="json") | {"erase_everything_from": "policy"})
    failure = failure_of(store, task)
    assert failure.code == "internal_error"
    assert "version" in failure.message


class Interrupted:
    """Calls something at one step of a pipeline's denoising."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, pipeline: VideoPipeline, *, step: int, call: Callable[[], object]
    ) -> None:
        self.steps: list[int] = []
        denoise = pipeline.denoise

        def denoise_with_interruption(rows: Any, seeds: Any, shape: Any, on_step: Any) -> Any:
            def watched(number: int, total: int) -> None:
                self.steps.append(number)
                if number == step:
                    call()
                on_step(number, total)

            return denoise(rows, seeds, shape, watched)

        monkeypatch.setattr(pipeline, "denoise", denoise_with_interruption)


def test_a_cancelled_job_ends_within_a_step(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_resident(wan)
    interrupted = Interrupted(monkeypatch, wan, step=2, call=lambda: here.cancel("gen_1-1"))
    task = task_for(wan)
    run(task)
    assert interrupted.steps == [1, 2]
    assert failure_of(store, task).code == "cancelled"
    assert events(redis, task.id)[-1][0] == "cancelled"


def test_a_cancel_for_another_job_is_not_ours(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_resident(wan)
    Interrupted(monkeypatch, wan, step=2, call=lambda: [here.cancel("gen_1-2"), here.cancel("gen_2-1"), here.cancel(None)])
    task = task_for(wan)
    run(task)
    assert receipt_of(store, task)


def test_who_lost_the_lease_publishes_nothing(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan)
    newer = json.dumps({"attempt": 2, "worker": "another"})
    Interrupted(monkeypatch, wan, step=4, call=lambda: redis.set(lease_key("gen_1"), newer))
    task = task_for(wan)
    run(task)
    assert store.list("videos") == [], "neither receipt nor failure, and no video over that of another"
    assert redis.get(lease_key("gen_1")) == newer.encode()
    assert redis.xlen(SETTLED_STREAM) == 0


def test_a_failure_is_not_published_without_the_lease_either(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan)

    def lose_lease_and_fail() -> None:
        redis.set(lease_key("gen_1"), json.dumps({"attempt": 2, "worker": "another"}))
        raise RuntimeError("too late")

    Interrupted(monkeypatch, wan, step=2, call=lose_lease_and_fail)
    run(task_for(wan))
    assert store.list("") == []


def test_a_wiped_redis_does_not_lose_the_video(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan)
    Interrupted(monkeypatch, wan, step=2, call=redis.flushall)
    task = task_for(wan)
    run(task)
    assert receipt_of(store, task)


def test_a_store_that_is_away_at_the_end_gets_the_video_when_it_is_back(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_resident(wan)
    here.store = PatientStore(store, seconds=60)
    store.put("some/value", b"")
    away = store.root.with_name("away")

    def go_away() -> None:
        store.root.rename(away)
        threading.Timer(1.5, away.rename, [store.root]).start()

    Interrupted(monkeypatch, wan, step=4, call=go_away)
    task = task_for(wan)
    run(task)
    assert receipt_of(store, task)
    assert redis.xlen(SETTLED_STREAM) == 1


def test_a_store_that_stays_away_leaves_no_record_and_no_directory(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_resident(wan)
    here.store = PatientStore(store, seconds=0.1)
    store.put("some/value", b"")
    away = store.root.with_name("away")
    Interrupted(monkeypatch, wan, step=4, call=lambda: store.root.rename(away))
    run(task_for(wan))  # nothing of it reaches RQ
    assert not store.root.exists()
    assert redis.get(lease_key("gen_1")) is None, "free for the next attempt"
    assert redis.xlen(SETTLED_STREAM) == 0


def test_an_attempt_that_another_worker_holds_is_not_run(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis
) -> None:
    make_resident(wan)
    redis.set(lease_key("gen_1"), json.dumps({"attempt": 1, "worker": "another"}))
    run(task_for(wan))
    assert store.list("") == []


def test_a_settled_attempt_is_not_run_again(wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore) -> None:
    make_resident(wan)
    task = task_for(wan)
    run(task)
    before = store.get(receipt_key(task.id, 1))
    run(task)
    assert store.get(receipt_key(task.id, 1)) == before


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", True),
        (JobTimeoutException("exceeded"), "timeout", False),
        (RuntimeError("a defect"), "internal_error", False),
        (torch.AcceleratorError("device-side assert"), "internal_error", True),
    ],
)
def test_what_happens_on_the_device_is_recorded(
    wan: VideoPipeline,
    wan_eraser: erasers.Eraser,
    make_resident: MakeResident,
    store: DirectoryStore,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    code: str,
    retryable: bool,
) -> None:
    here = make_resident(wan)
    put_eraser(store, wan_eraser)

    def fail() -> None:
        raise error

    Interrupted(monkeypatch, wan, step=2, call=fail)
    task = task_for(wan, pin(wan_eraser))
    run(task)
    store.delete("erasers")
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert "a defect" not in failure.message
    assert (here.erasers.bytes_kept == 0) == (code == "out_of_memory")
    assert here.must_exit == isinstance(error, torch.AcceleratorError)


def test_an_interruption_after_the_receipt_does_not_unmake_the_success(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan)
    emit = tasks.Attempt.emit

    def interrupted(self: Any, event: Any, data: Any) -> None:
        if event == "finished":
            raise JobTimeoutException("exceeded")
        emit(self, event, data)

    monkeypatch.setattr(tasks.Attempt, "emit", interrupted)
    task = task_for(wan)
    run(task)
    assert receipt_of(store, task)
    assert not store.exists(failure_key("generate", task.id, 1))


def test_a_job_that_ran_out_of_memory_holds_none_when_the_caches_are_emptied(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents_of: list[weakref.ref[torch.Tensor]] = []
    alive: list[bool] = []

    def decode(latents: torch.Tensor) -> None:
        latents_of.append(weakref.ref(latents))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def clear() -> None:
        gc.collect()
        alive.extend(latents() is not None for latents in latents_of)

    resident = make_resident(wan)
    monkeypatch.setattr(wan, "decode", decode)
    monkeypatch.setattr(resident.erasers, "clear", clear)
    task = task_for(wan)
    run(task)
    assert failure_of(store, task).code == "out_of_memory"
    assert alive == [False]
