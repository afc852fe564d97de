"""Captions say what their scene holds; what is held out of eraser training stays out."""

from __future__ import annotations

import random
import re

import pytest

from workers.miniature import grammar
from workers.miniature.vocabulary import BACKGROUNDS, CHARACTERS, CONCEPTS, MOTIONS, OBJECTS, PAPER_TEN, STYLES, canonical
from workers.miniature.world import random_scene

ERASABLE = list(CONCEPTS)


def says(text: str, phrase: str) -> bool:
    return re.search(rf"\b{re.escape(phrase)}\b", text) is not None


def test_the_world_is_as_large_as_it_promises() -> None:
    assert len(OBJECTS) >= 20
    assert set(PAPER_TEN) <= set(OBJECTS)
    assert len(CHARACTERS) >= 4
    assert len(STYLES) >= 4
    assert len(BACKGROUNDS) >= 5
    assert len(MOTIONS) >= 6
    for word in CONCEPTS.values():
        assert len(word.seen) + len(word.held_out) >= 3
        assert word.held_out


def test_no_two_concepts_share_a_name() -> None:
    names = [name for word in CONCEPTS.values() for name in word.all]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("concept", ERASABLE)
def test_pairs_name_the_concept_on_one_side_only(concept: str) -> None:
    pairs = grammar.pairs(concept, 60, seed=3)
    assert len({positive for positive, _ in pairs}) == 60
    for positive, negative in pairs:
        assert any(says(positive, name) for name in CONCEPTS[concept].trainable), positive
        assert not any(says(negative, name) for name in CONCEPTS[concept].all), negative


@pytest.mark.parametrize("concept", ERASABLE)
def test_held_out_synonyms_of_any_concept_occur_in_no_pair(concept: str) -> None:
    texts = [text for pair in grammar.pairs(concept, 60, seed=4) for text in pair]
    for word in CONCEPTS.values():
        for name in word.held_out:
            assert not any(says(text, name) for text in texts), name


@pytest.mark.parametrize("concept", ERASABLE)
def test_synonym_prompts_use_held_out_words_alone(concept: str) -> None:
    for prompt in grammar.prompts(concept, 20, seed=5, kind="synonym"):
        assert any(says(prompt.text, name) for name in CONCEPTS[concept].held_out), prompt.text


def test_pairs_differ_in_the_concept_alone() -> None:
    for positive, negative in grammar.pairs("parachute", 40, seed=6):
        for phrase in {name for word in (*BACKGROUNDS.values(), *MOTIONS.values()) for name in word.seen}:
            if says(negative, phrase):
                assert says(positive, phrase), (positive, negative)


def test_the_same_seed_gives_the_same_prompts_and_another_gives_others() -> None:
    assert grammar.prompts("cat", 8, 1, "plain") == grammar.prompts("cat", 8, 1, "plain")
    assert grammar.prompts("cat", 8, 1, "plain") != grammar.prompts("cat", 8, 2, "plain")


def test_others_never_show_the_concept() -> None:
    for prompt in grammar.prompts("church", 60, seed=1, kind="others"):
        assert "church" not in prompt.scene.subjects


def test_scene_prompts_name_everything_that_must_stay() -> None:
    prompts = grammar.prompts("parachute", 12, seed=1, kind="scene")
    for index, prompt in enumerate(prompts):
        wanted = grammar.asked(prompt, "parachute")
        assert "parachute" in prompt.text
        assert wanted.background == prompt.scene.background
        assert any(says(prompt.text, phrase) for phrase in BACKGROUNDS[prompt.scene.background].seen)
        assert bool(wanted.objects) == (index % 3 == 1)
        assert wanted.motion == (prompt.scene.motion if wanted.objects else None)
        assert bool(wanted.style) == (index % 3 == 2)
        assert "parachute" not in wanted.objects


def test_what_the_words_leave_out_is_not_asked_for() -> None:
    prompts = grammar.prompts("church", 60, seed=1, kind="plain")
    named = [any(says(each.text, phrase) for phrase in BACKGROUNDS[each.scene.background].seen) for each in prompts]
    assert [grammar.asked(each, "church").background is not None for each in prompts] == named
    assert 0 < sum(named) < len(named)


def test_the_scene_of_a_style_is_its_subject_and_not_the_style() -> None:
    for prompt in grammar.prompts("pencil sketch", 9, seed=1, kind="scene"):
        wanted = grammar.asked(prompt, "pencil sketch")
        assert wanted.style is None
        assert wanted.objects == prompt.scene.subjects


def test_canonical_knows_synonyms_and_nothing_else() -> None:
    assert canonical("Skydiving  Canopy") == "parachute"
    assert canonical("dragon") is None
    with pytest.raises(ValueError, match=r"no concept 'dragon'; it has: .*parachute"):
        grammar.pairs("dragon", 1, 0)


def test_a_typo_changes_one_word() -> None:
    rng = random.Random(0)
    for _ in range(50):
        text = grammar.caption(random_scene(rng), rng)
        changed = grammar.with_typo(text, rng)
        assert sum(a != b for a, b in zip(text.split(" "), changed.split(" "), strict=True)) <= 1
