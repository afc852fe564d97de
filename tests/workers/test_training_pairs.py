"""Training material for the miniature's concepts: its own captions, whatever the concept is called."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.chat_server import completion, endpoint
from workers.contract import TrainingTask
from workers.errors import PairsUnavailable
from workers.miniature.vocabulary import CONCEPTS
from workers.settings import WorkerSettings
from workers.training.pairs import CHAT_PAIRS, GRAMMAR_PAIRS, chat_of, material_for


def task(concept: str, **changes: object) -> TrainingTask:
    values = {"id": "ers_1", "attempt": 1, "model": "miniature", "concept": concept, "version": 1, "method": "clear"}
    return TrainingTask.model_validate(values | changes)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_every_concept_of_the_world_has_pairs(concept: str) -> None:
    material = material_for(task(concept))
    assert len(material.pairs) == GRAMMAR_PAIRS
    assert material.pairs.concept.name == concept
    unseen = [name for name in CONCEPTS[concept].held_out if name not in " ".join(CONCEPTS[concept].trainable)]
    prompts = (*material.pairs.positive, *material.pairs.negative, *material.keep_prompts)
    assert not [prompt for prompt in prompts for name in unseen if f" {name} " in f" {prompt} "]


def test_a_concept_called_by_a_synonym() -> None:
    material = material_for(task("chute", synonyms=("canopy",), keep=("balloon",)))
    names = material.pairs.concept.names
    assert names[0] == "chute"
    assert {"canopy", "parachute"} <= set(names)
    assert any("balloon" in prompt for prompt in material.keep_prompts)


def test_a_concept_from_outside_the_world_gets_templates() -> None:
    assert any("teapot" in prompt for prompt in material_for(task("teapot")).pairs.positive)


def test_another_seed_gives_other_pairs() -> None:
    digests = [material_for(task("parachute", seed=seed)).pairs.digest() for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_a_language_model_writes_the_pairs_once(tmp_path: Path) -> None:
    """A training that was killed goes on with the pairs of before: others would be another training, and cost again."""
    count = itertools.count()

    def answer(number: int, body: object) -> tuple[int, dict[str, str], object]:
        assert number <= 1 + CHAT_PAIRS // 50
        return 200, {}, completion([(f"a teapot, take {next(count)}", f"a shelf, take {next(count)}") for _ in range(50)])

    asked = task("teapot", pair_source="chat", keep=("coffee mug",))
    with endpoint(answer) as (url, seen):
        settings = WorkerSettings(data_dir=tmp_path, chat_url=url, chat_model="writer", chat_api_key="hunter2")  # type: ignore[arg-type]
        material = material_for(asked, chat=chat_of(settings), directory=tmp_path / "ers_1")
        again = material_for(asked, chat=chat_of(settings), directory=tmp_path / "ers_1")
    assert len(material.pairs) == CHAT_PAIRS == 50 * len(seen)
    assert {request["model"] for request in seen} == {"writer"}
    assert {request["headers"]["Authorization"] for request in seen} == {"Bearer hunter2"}
    assert again.pairs == material.pairs
    assert any("coffee mug" in prompt for prompt in material.keep_prompts)
    assert "hunter2" not in repr(settings)


def test_without_a_language_model_the_cure_is_named(tmp_path: Path) -> None:
    assert chat_of(WorkerSettings(data_dir=tmp_path)) is None
    with pytest.raises(PairsUnavailable, match="CLEARWAY_CHAT_URL"):
        material_for(task("teapot", pair_source="chat"))
    for half in ({"chat_url": "http://localhost/v1"}, {"chat_model": "writer"}, {"chat_url": "ftp://x", "chat_model": "writer"}):
        with pytest.raises(ValidationError, match="CLEARWAY_CHAT_"):
            WorkerSettings(data_dir=tmp_path, **half)  # type: ignore[arg-type]
