"""An evaluation from payload to record, in this process: what an artifact claims is not what is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import safetensors.torch
import torch

import erasers
from erasers.artefact import digest_of
from tests.workers.parts import CONCEPT, lantern_pairs, train_lantern
from workers import tasks
from workers.contract import (
    EraserPin,
    EvaluationResult,
    EvaluationTask,
    FailureRecord,
    PromptPair,
    eraser_key,
    evaluation_result_key,
    failure_key,
)
from workers.pipelines.base import VideoPipeline
from workers.residency.resident import Resident
from workers.store.artifacts import DirectoryStore
from workers.training.train import put_eraser

MakeResident = Callable[..., Resident]
WONDERFUL = {"origin_rate": 1.0, "erased_rate": 0.0, "synonym_rate": 0.0, "kept_rate": 1.0, "probe_after": 0.0}


def task_of(pipeline: VideoPipeline, digest: str, **changes: Any) -> EvaluationTask:
    pairs = lantern_pairs()
    values: dict[str, Any] = {
        "id": "eval_1",
        "attempt": 1,
        "model": pipeline.card().id,
        "concept": CONCEPT.name,
        "version": 4,
        "digest": digest,
        "synonyms": CONCEPT.synonyms,
        "pairs": tuple(PromptPair(positive=p, negative=n) for p, n in zip(pairs.positive, pairs.negative, strict=True)),
    }
    return EvaluationTask(**values | changes)


def run(task: EvaluationTask) -> None:
    tasks.evaluate(task.model_dump(mode="json"))


def result_of(store: DirectoryStore, task: EvaluationTask) -> EvaluationResult:
    return EvaluationResult.model_validate_json(store.get(evaluation_result_key(task.id, task.attempt)))


def failure_of(store: DirectoryStore, task: EvaluationTask) -> FailureRecord:
    assert not store.exists(evaluation_result_key(task.id, task.attempt))
    return FailureRecord.model_validate_json(store.get(failure_key("evaluate", task.id, task.attempt)))


def test_a_good_eraser_is_measured_as_after_its_training(
    pipeline: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(pipeline, "train")
    eraser = train_lantern(pipeline, method="steering")
    put_eraser(store, eraser)
    task = task_of(pipeline, eraser.digest)
    run(task)
    result = result_of(store, task)
    assert (result.digest, result.concept, result.version) == (eraser.digest, "lantern", 4)
    own = {name: eraser.config.evaluation[name] for name in ("detected_before", "detected_after", "drift_negative")}
    assert {name: result.evaluation[name] for name in own} == pytest.approx(own, abs=0.05)
    assert result.evaluation["probe_before"] == result.evaluation["detected_before"] == 1.0
    assert result.evaluation["probe_after"] < 1.0


def test_wonderful_numbers_in_the_artifact_are_not_in_the_result(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan, "train")
    good = train_lantern(wan, method="steering")
    weak = erasers.Eraser.build(replace(good.config, strength=0.001, minimum_strength=None, evaluation=WONDERFUL), good.tensors)
    put_eraser(store, weak)
    task = task_of(wan, weak.digest)
    run(task)
    measured = result_of(store, task).evaluation
    assert measured["probe_after"] == measured["probe_before"] == 1.0
    assert "erased_rate" not in measured


@pytest.mark.parametrize("how", ["strength 0", "no direction", "another concept", "too large"])
def test_what_is_no_eraser_fails_and_is_not_measured(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, how: str
) -> None:
    make_resident(wan, "train")
    good = train_lantern(wan, method="steering")
    direction = good.tensors["direction"]
    config, tensors = replace(good.config, minimum_strength=None, evaluation=WONDERFUL), dict(good.tensors)
    if how == "strength 0":
        config = replace(config, strength=0.0)
    elif how == "no direction":
        tensors["direction"] = torch.zeros_like(direction)
    elif how == "another concept":
        config = replace(config, concept="boat")
    else:
        config = replace(config, strength=100.0, parameters={"mode": "shift"})
        tensors["direction"] = direction / direction.norm() * 1e5
    forged = erasers.Eraser.build(config, tensors)
    put_eraser(store, forged)
    task = task_of(wan, forged.digest)
    run(task)
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == ("eraser_corrupt", False)
    says = {"another concept": "takes out 'boat'", "too large": "times their norm"}.get(how, "is the identity")
    assert says in failure.message


def test_values_that_no_training_gives_are_refused_when_loaded(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    """Bytes that `Eraser.build` would refuse to make, under their own digest."""
    make_resident(wan, "train")
    good = train_lantern(wan, method="clear")
    tensors = {name: tensor.clone() for name, tensor in good.tensors.items()}
    tensors["m_spec"][:1] = -1
    parts = good.config.to_bytes(), safetensors.torch.save(tensors)
    digest = digest_of(*parts)
    for name, content in zip(("config.json", "eraser.safetensors"), parts, strict=True):
        store.put(eraser_key(digest, name), content)
    task = task_of(wan, digest)
    run(task)
    failure = failure_of(store, task)
    assert failure.code == "eraser_corrupt"
    assert "'m_spec' of a clear eraser must lie within [0, 1]" in failure.message


def test_it_is_measured_together_with_the_active_erasers(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan, "train")
    eraser = train_lantern(wan, method="steering")
    put_eraser(store, eraser)
    gone = EraserPin(concept="boat", version=1, digest="b" * 64)
    task = task_of(wan, eraser.digest, active=(gone,))
    run(task)
    (interaction,) = result_of(store, task).evaluation["interactions"]  # type: ignore[misc]
    assert interaction["reason"].startswith("the eraser of 'boat', version 1")  # type: ignore[call-overload]


def test_a_killed_evaluation_is_measured_by_the_next_attempt(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        """Ends an evaluation as a kill does: nothing of ours handles it."""

    make_resident(wan, "train")
    eraser = train_lantern(wan, method="steering")
    put_eraser(store, eraser)
    enter = tasks.Attempt.enter

    def killed(self: Any, stage: str) -> None:
        if stage == "evaluate" and self.number == 1:
            raise Killed
        enter(self, stage)

    monkeypatch.setattr(tasks.Attempt, "enter", killed)
    with pytest.raises(Killed):
        run(task_of(wan, eraser.digest))
    assert not store.exists(evaluation_result_key("eval_1", 1))
    again = task_of(wan, eraser.digest, attempt=2)
    run(again)
    assert result_of(store, again).attempt == 2
