"""A new eraser beside active ones: measured on clips of the miniature or in its embeddings, or not, and then why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

import erasers
from tests.workers.parts import lantern_pairs, pin, train_lantern
from tests.workers.test_training import QUICK, failure_of, result_of, run, training_task
from workers.attempts.attempt import Attempt
from workers.contract import EraserPin, Interaction, PromptPair, TrainingTask, eraser_key, events_key
from workers.detection.detectors import detector_for
from workers.detection.watch import Watch
from workers.errors import EraserUnavailable
from workers.miniature.weights import eraser_directory
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.residency.resident import Resident
from workers.settings import WorkerSettings
from workers.store.artifacts import ArtifactError, DirectoryStore
from workers.training.evaluation import Filmed, film_cells
from workers.training.interactions import measure_interactions
from workers.training.pairs import material_for
from workers.training.train import put_eraser

MakeResident = Callable[..., Resident]
STEERING: dict[str, Any] = {"method": "steering", "config": {}}
ABSENT = EraserPin(concept="church", version=3, digest="0" * 64, strength=1.5)


@pytest.fixture(scope="module")
def miniature() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature", device="cpu"))


@pytest.fixture(scope="module")
def parachute() -> erasers.Eraser:
    return erasers.load(eraser_directory("parachute"))


@pytest.fixture(scope="module")
def church() -> erasers.Eraser:
    return erasers.load(eraser_directory("church"))


@pytest.fixture(scope="module")
def filmed(miniature: VideoPipeline, parachute: erasers.Eraser) -> Filmed:
    detector = detector_for("miniature", "parachute", Watch())
    assert detector is not None
    return film_cells(miniature, parachute, detector, n=2, seed=0)


def interactions_of(store: DirectoryStore, task: TrainingTask) -> list[Interaction]:
    written: Any = result_of(store, task).evaluation["interactions"]
    return [Interaction.model_validate(item) for item in written]


class Beside:
    """The parachute's training, with what is active beside it."""

    def __init__(self, pipeline: VideoPipeline, eraser: erasers.Eraser, others: dict[EraserPin, erasers.Eraser]) -> None:
        pins = (*others, ABSENT)
        self.task = TrainingTask(
            id="ers_1", attempt=1, model="miniature", concept="parachute", version=2, method="clear", active=pins
        )
        self.ticks: list[tuple[int, int]] = []
        self._pipeline, self._eraser, self._others = pipeline, eraser, others

    def measure(self, filmed: Filmed | None, clips: int) -> list[Interaction]:
        return measure_interactions(
            self._pipeline,
            self._eraser,
            self.task,
            material_for(self.task),
            load=self._load,
            filmed=filmed,
            clips=clips,
            watch=Watch(),
            tick=lambda done, total: self.ticks.append((done, total)),
        )

    def _load(self, wanted: EraserPin) -> erasers.Eraser:
        if wanted not in self._others:
            raise EraserUnavailable("it is not in the store")
        return self._others[wanted]


def test_on_clips_both_concepts_go_and_nothing_is_filmed_twice(
    miniature: VideoPipeline,
    parachute: erasers.Eraser,
    church: erasers.Eraser,
    filmed: Filmed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    idle = pin(church, version=1, strength=0.0)
    beside = Beside(miniature, parachute, {pin(church, version=2): church, idle: church})
    clips = 0
    decode = miniature.decode

    def counted(latents: Any) -> Any:
        nonlocal clips
        clips += 1
        return decode(latents)

    monkeypatch.setattr(miniature, "decode", counted)
    both, alone, absent = beside.measure(filmed, 2)
    assert clips == 2 * 4 * 2
    assert beside.ticks[0] == (0, 24)
    assert beside.ticks[-1] == (24, 24)
    assert beside.ticks == sorted(beside.ticks)
    assert (both.measured, both.n, both.eraser.version) == ("frames", 2, 2)
    assert both.origin_rate == filmed.numbers()["origin_rate"]
    assert min(both.origin_rate or 0, both.other_origin_rate or 0) >= 0.3
    assert both.left is not None
    assert both.other_left is not None
    assert max(both.left, both.other_left) <= 0.25
    assert alone.left is not None
    assert alone.left <= 0.25, "the new one is at its own strength"
    assert alone.other_left is not None
    assert alone.other_left > 0.5, "the other is at that of the pin, 0"
    assert both.kept_rate is not None
    assert both.kept_rate > 0
    assert absent == Interaction(eraser=ABSENT, reason="it is not in the store")


def test_in_embeddings_where_nobody_judges_frames(
    miniature: VideoPipeline, parachute: erasers.Eraser, church: erasers.Eraser, filmed: Filmed
) -> None:
    beside = Beside(miniature, parachute, {pin(church, version=2): church})
    found, absent = beside.measure(None, 2)
    assert beside.measure(filmed, 0) == [found, absent]
    assert found.measured == "embeddings"
    assert found.n > 20
    assert min(found.origin_rate or 0, found.other_origin_rate or 0) >= 0.9
    assert found.left is not None
    assert found.other_left is not None
    assert max(found.left, found.other_left) <= 0.25
    assert found.kept_rate is not None
    assert 0.5 < found.kept_rate < 1
    assert absent.reason == "it is not in the store"
    assert beside.ticks[-1] == (2, 2)


def test_what_acts_on_the_negative_prompt_is_not_read_in_embeddings(miniature: VideoPipeline, parachute: erasers.Eraser) -> None:
    words = erasers.train(
        miniature.text_encoder,
        miniature.tokenizer,
        material_for(TrainingTask(id="a", attempt=1, model="miniature", concept="cat", version=1, method="negprompt")).pairs,
        method="negprompt",
        max_length=miniature.card().max_prompt_tokens,
    )
    found, _ = Beside(miniature, parachute, {pin(words): words}).measure(None, 0)
    assert (found.measured, found.left) == (None, None)
    assert "the eraser of 'cat' acts on the negative prompt" in str(found.reason)


def test_what_cannot_be_measured_fails_no_training_and_says_why(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, redis: Redis
) -> None:
    make_resident(wan, "train")
    lantern = train_lantern(wan, method="steering")
    put_eraser(store, lantern)
    for name in ("config.json", "eraser.safetensors"):
        store.put(eraser_key("1" * 64, name), b"{}")
    pins = (
        ABSENT,
        EraserPin(concept="dog", version=1, digest="1" * 64),
        pin(lantern, concept="church"),
    )
    task = training_task(wan, **STEERING, active=pins)
    run(task)
    found = interactions_of(store, task)
    assert [item.eraser for item in found] == list(pins)
    for item, says in zip(found, ("not in the artifact store", "not what was pinned", "wrong artefact"), strict=True):
        assert says in str(item.reason)
        assert (item.measured, item.left) == (None, None)
    config = json.loads(store.get(eraser_key(result_of(store, task).digest, "config.json")))
    assert config["evaluation"]["interactions"] == [item.model_dump(mode="json") for item in found]
    entries: Any = redis.xrange(events_key(task.id))
    stages = [json.loads(fields[b"data"]).get("stage") for _, fields in entries if fields[b"event"] == b"stage"]
    assert stages[-3:] == ["evaluate", "interactions", "store"]


def test_prompts_that_the_model_does_not_take_are_a_reason_too(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    """The templates that stand for the other's own pairs are longer than 16 tokens."""
    make_resident(wan, "train")
    lantern = train_lantern(wan, method="steering")
    put_eraser(store, lantern)
    swapped = tuple(
        PromptPair(positive=negative, negative=positive)
        for positive, negative in zip(lantern_pairs().positive, lantern_pairs().negative, strict=True)
    )
    task = training_task(wan, **STEERING, concept="cat", synonyms=("dog",), pairs=swapped, active=(pin(lantern),))
    run(task)
    (found,) = interactions_of(store, task)
    assert found.measured is None
    assert "at most 16 fit" in str(found.reason)


def test_a_store_that_does_not_answer_is_another_attempts_matter(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan, "train")

    def silent(_: str) -> bytes:
        raise ArtifactError("no answer")

    task = training_task(wan, **STEERING, active=(ABSENT,))
    with monkeypatch.context() as broken:
        broken.setattr(store, "get", silent)
        run(task)
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == ("internal_error", True)


class _Killed(BaseException):
    """Ends a training as a kill does: nothing of ours handles it."""


def test_killed_while_it_is_measured_it_ends_with_the_same_bytes(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_resident(wan, "train")
    config = {**QUICK, "iterations": 80}
    unbroken = training_task(wan, id="ers_0", config=config, active=(ABSENT,))
    run(unbroken)
    report = Attempt.progress
    searched: list[int] = []

    def killed(self: Any, stage: str, step: int, total: int, info: Any) -> None:
        if stage == "interactions" and self.number == 1:
            raise _Killed
        if stage == "search" and self.number == 2:
            searched.append(step)
        report(self, stage, step, total, info)

    monkeypatch.setattr(Attempt, "progress", killed)
    with pytest.raises(_Killed):
        run(training_task(wan, config=config, active=(ABSENT,)))
    again = training_task(wan, attempt=2, config=config, active=(ABSENT,))
    run(again)
    assert result_of(store, again).digest == result_of(store, unbroken).digest
    assert searched[0] == 51, "it began anew instead of going on from its checkpoint"
