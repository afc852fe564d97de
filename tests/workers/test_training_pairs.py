"""Training material for the miniature's concepts: its own captions, whatever the concept is called."""

from __future__ import annotations

import pytest

from workers.contract import TrainingTask
from workers.miniature.vocabulary import CONCEPTS
from workers.training_pairs import GRAMMAR_PAIRS, material_for


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
