"""A training from payload to registered artefact, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from redis import Redis

import erasers
from erasers.artefact import digest_of
from tests.workers.parts import CONCEPT, lantern_pairs, task_for, train_lantern
from workers import tasks
from workers.contract import (
    EraserPin,
    FailureRecord,
    PromptPair,
    Receipt,
    TrainingResult,
    TrainingTask,
    eraser_key,
    events_key,
    failure_key,
    receipt_key,
    training_result_key,
)
from workers.detection.detectors import Cell, Probe, detector_for
from workers.detection.watch import Watch
from workers.errors import InvalidPairs
from workers.pipelines.base import Frames, VideoPipeline
from workers.residency.resident import Resident
from workers.scene import SeenScene, WantedScene
from workers.store.artifacts import DirectoryStore
from workers.training.evaluation import film_cells
from workers.training.pairs import material_for

MakeResident = Callable[..., Resident]
QUICK = {"iterations": 40, "refine_iterations": 0, "expansion": 4}


def training_task(pipeline: VideoPipeline, **changes: Any) -> TrainingTask:
    pairs = lantern_pairs()
    values: dict[str, Any] = {
        "id": "ers_1",
        "attempt": 1,
        "model": pipeline.card().id,
        "concept": CONCEPT.name,
        "version": 4,
        "method": "clear",
        "synonyms": CONCEPT.synonyms,
        "pairs": tuple(PromptPair(positive=p, negative=n) for p, n in zip(pairs.positive, pairs.negative, strict=True)),
        "config": QUICK,
    }
    return TrainingTask(**values | changes)


def run(task: TrainingTask) -> None:
    tasks.train(task.model_dump(mode="json"))


def result_of(store: DirectoryStore, task: TrainingTask) -> TrainingResult:
    return TrainingResult.model_validate_json(store.get(training_result_key(task.id, task.attempt)))


def failure_of(store: DirectoryStore, task: TrainingTask) -> FailureRecord:
    assert store.list("") == [failure_key("train", task.id, task.attempt)]
    return FailureRecord.model_validate_json(store.get(failure_key("train", task.id, task.attempt)))


def test_end_to_end(pipeline: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis) -> None:
    make_resident(pipeline, "train")
    task = training_task(pipeline)
    run(task)
    result = result_of(store, task)
    assert (result.concept, result.version, result.method) == ("lantern", 4, "clear")
    assert result.encoder_fingerprint == pipeline.fingerprint
    files = [store.get(eraser_key(result.digest, name)) for name in ("config.json", "eraser.safetensors")]
    assert digest_of(*files) == result.digest
    config = json.loads(files[0])
    assert (config["layer"], config["strength"], config["evaluation"]) == (result.layer, result.strength, result.evaluation)
    assert {"probe_before", "probe_after", "drift"} <= set(result.evaluation)
    assert result.evaluation["probe_before"] == 1.0
    assert "origin_rate" not in result.evaluation, "nobody can judge the frames of this model"

    entries: Any = redis.xrange(events_key(task.id))
    said = [(fields[b"event"].decode(), json.loads(fields[b"data"])) for _, fields in entries]
    stages = [data["stage"] for name, data in said if name == "stage"]
    assert stages == ["encode", "search", "calibrate", "evaluate", "store"]
    assert said[-1][0] == "finished"
    trajectory = [data["info"] for name, data in said if name == "step" and data["stage"] == "search" and "info" in data]
    assert trajectory, "the search cannot be watched"

    make_resident(pipeline)  # and a worker can use it
    generation = task_for(pipeline, EraserPin(concept="lantern", version=4, digest=result.digest))
    tasks.generate(generation.model_dump(mode="json"))
    assert Receipt.model_validate_json(store.get(receipt_key("gen_1", 1))).erasers[0].tokens_edited > 0


def test_the_same_training_gives_the_same_artefact(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan, "train")
    results = []
    for attempt, seed in ((1, 0), (2, 0), (3, 1)):
        task = training_task(wan, attempt=attempt, seed=seed, method="steering", config={})
        run(task)
        results.append(result_of(store, task).digest)
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        (
            {"pairs": (PromptPair(positive="a cat", negative="a dog"),)},
            "invalid_pairs",
            "line 1: the positive prompt",
        ),
        ({"method": "cleer"}, "invalid_request", "did you mean 'clear'"),
        ({"config": {"iteration": 3}}, "invalid_request", "did you mean 'iterations'"),
        ({"config": {"padding": "attended"}}, "invalid_request", "leave it out"),
        ({"model": "another"}, "model_unavailable", "holds 'tiny-wan'"),
        ({"pairs": None}, "prompt_too_long", "at most 16 fit"),  # from the templates, which are longer than this model takes
    ],
)
def test_what_cannot_be_trained_is_refused(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, changes: dict[str, Any], code: str, says: str
) -> None:
    make_resident(wan, "train")
    task = training_task(wan, **changes)
    run(task)
    failure = failure_of(store, task)
    assert failure.code == code
    assert says in failure.message
    assert not failure.retryable


def test_a_cancelled_training_registers_nothing(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = make_resident(wan, "train")
    seen: list[int] = []
    step = tasks.Attempt.step

    def cancel_at_five(self: Any, number: int, total: int, info: Any = None) -> None:
        if self._stage == "search":
            seen.append(number)
            if number == 5:
                here.cancel("ers_1-1")
        step(self, number, total, info)

    monkeypatch.setattr(tasks.Attempt, "step", cancel_at_five)
    task = training_task(wan)
    run(task)
    assert failure_of(store, task).code == "cancelled"
    assert max(seen) == 5


class _Killed(BaseException):
    """Ends a training as a kill does: nothing of ours handles it."""


@pytest.mark.parametrize("damaged", [False, True])
def test_a_killed_training_goes_on_from_its_checkpoint_to_the_same_bytes(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, damaged: bool
) -> None:
    here = make_resident(wan, "train")
    config = {**QUICK, "iterations": 80}
    unbroken = training_task(wan, id="ers_0", config=config)
    run(unbroken)
    steps: list[int] = []
    report = tasks.Attempt.progress

    def killed_at_70(self: Any, stage: str, step: int, total: int, info: Any) -> None:
        if stage == "search":
            steps.append(step)
            if step == 70 and self.number == 1:
                raise _Killed
        report(self, stage, step, total, info)

    monkeypatch.setattr(tasks.Attempt, "progress", killed_at_70)
    with pytest.raises(_Killed):
        run(training_task(wan, config=config))
    (checkpoint,) = (here.settings.data_dir / "checkpoints" / "ers_1").glob("*.safetensors")
    if damaged:
        checkpoint.write_bytes(b"half a file")
        run(training_task(wan, attempt=2, config=config))
        record = json.loads(store.get(failure_key("train", "ers_1", 2)))
        assert (record["code"], record["retryable"]) == ("internal_error", True)
    steps.clear()
    again = training_task(wan, attempt=3, config=config)
    run(again)
    assert steps[0] == (1 if damaged else 51)
    assert result_of(store, again).digest == result_of(store, unbroken).digest
    assert not list((here.settings.data_dir / "checkpoints").iterdir())


def test_pairs_without_pairs() -> None:
    teapot = {"concept": "teapot", "synonyms": ("tea pot",), "keep": ("coffee mug",)}
    task = TrainingTask(id="ers_1", attempt=1, model="big", version=1, method="clear", **teapot)
    material = material_for(task)
    assert len(material.pairs) == 400
    concept = erasers.Concept("teapot", synonyms=("tea pot",))
    assert all("coffee mug" in prompt and concept.named_in(prompt) is None for prompt in material.keep_prompts)
    assert material_for(task).pairs.digest() == material.pairs.digest()
    with pytest.raises(InvalidPairs, match="letter or digit"):
        material_for(task.model_copy(update={"concept": "!"}))


class Brightness:
    """A judge of brightness; it stands in for a classifier where models are random."""

    def __init__(self) -> None:
        self.asked: list[tuple[Cell, int, int]] = []

    def probes(self, cell: Cell, n: int, seed: int) -> list[Probe]:
        self.asked.append((cell, n, seed))
        prompt = {"plain": "a lantern", "synonym": "a red lantern", "scene": "a lantern and a cat", "others": "a cat"}[cell]
        places = ("hill", "river", "field")[:n]
        return [Probe(f"{prompt} on the {place}", "bright", WantedScene(background=place)) for place in places]

    def rate(self, frames: Frames, concept: str) -> float:
        assert concept == "bright"
        return float((frames.mean((1, 2, 3)) > 128).mean())

    def scene(self, frames: Frames, probe: Probe) -> SeenScene:
        """The background is as asked where the upper half is the brighter one."""
        upper, lower = (half.mean((1, 2, 3)) for half in np.array_split(frames, 2, axis=1))
        share = float((upper > lower).mean())
        return SeenScene({"background": share}, share)


def test_origin_and_erased_are_compared_on_the_same_clips(wan: VideoPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    small = wan.card().model_copy(
        update={"default_width": 32, "default_height": 32, "default_num_frames": 9, "default_num_inference_steps": 3}
    )
    monkeypatch.setattr(wan, "card", lambda: small)
    eraser = train_lantern(wan, method="steering")
    harmless = erasers.Eraser.build(replace(eraser.config, strength=0.0), eraser.tensors)
    judge, ticks = Brightness(), []
    filmed = film_cells(wan, harmless, judge, n=3, seed=5, tick=lambda done, total: ticks.append((done, total)))
    numbers = filmed.numbers()
    assert numbers["origin_rate"] == numbers["erased_rate"]
    assert numbers["synonym_origin_rate"] == numbers["synonym_rate"]
    assert numbers["others_origin_rate"] == numbers["others_rate"]
    assert numbers["kept_rate"] == (1.0 if numbers["others_rate"] else 0.0)
    assert (numbers["n"], numbers["seeds"]) == (3, [5000, 5001, 5002])
    assert numbers["scene_origin_rate"] == numbers["scene_rate"]
    assert numbers["scene_clips"] == 9  # of plain, synonym and scene; the others ask for another scene
    assert judge.asked == [("plain", 3, 5), ("synonym", 3, 5), ("others", 3, 5), ("scene", 3, 5)]
    assert ticks[-1] == (24, 24)
    strong = film_cells(wan, eraser, judge, n=3, seed=5).numbers()
    assert strong["origin_rate"] == numbers["origin_rate"]


def test_nobody_judges_frames_of_other_models() -> None:
    assert detector_for("tiny-wan", "parachute", Watch()) is None
