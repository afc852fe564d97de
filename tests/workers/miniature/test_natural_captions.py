"""Natural captions: what training says, and what it never says."""

from __future__ import annotations

import random
import re
from typing import Literal

import pytest

from workers.miniature.pretrained.captions import caption, inflected, phrases, prompts
from workers.miniature.pretrained.states import training_captions
from workers.miniature.vocabulary import BACKGROUNDS, CONCEPTS, MOTIONS, STYLES, SUBJECTS
from workers.miniature.world import Scene

COUNT = 6000
FORMS: tuple[Literal["finite"], Literal["participle"]] = ("finite", "participle")


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z0-9'-]+", text.lower()))


@pytest.fixture(scope="module")
def training_words() -> set[str]:
    return set().union(*(words(made.text) for made in training_captions(COUNT, seed=0)))


def test_every_concept_of_the_world_has_phrases() -> None:
    known = phrases()
    assert known.subjects.keys() == SUBJECTS.keys()
    assert (known.backgrounds.keys(), known.motions.keys(), known.styles.keys()) == (
        BACKGROUNDS.keys(),
        MOTIONS.keys(),
        STYLES.keys(),
    )
    assert all(subject.nouns[0].lower() == name for name, subject in known.subjects.items())


@pytest.mark.parametrize("name", SUBJECTS)
def test_a_third_of_a_subjects_words_is_held_out_of_training(name: str, training_words: set[str]) -> None:
    subject = phrases().subjects[name]
    assert len(subject.held_out_nouns) >= 5
    assert len(subject.held_out_descriptions) >= 3
    held = len(subject.held_out_nouns) + len(subject.held_out_descriptions)
    assert held / (held + len(subject.nouns) + len(subject.descriptions)) > 0.3
    last = {noun.lower().split()[-1] for noun in subject.held_out_nouns}
    met = {word for word in last if word in training_words}
    assert not met, f"training says {met}"
    assert words(subject.nouns[0]) <= training_words, "the control: training does say its name"


def test_training_never_says_a_held_out_phrase() -> None:
    known = phrases()
    held = [phrase.lower() for subject in known.subjects.values() for phrase in subject.held_out_descriptions]
    held += [phrase for table in (known.backgrounds, known.motions) for ways in table.values() for phrase in ways.held_out]
    text = "\n".join(made.text for made in training_captions(COUNT, seed=0)).lower()
    assert [phrase for phrase in held if re.search(rf"\b{re.escape(phrase)}\b", text)] == []
    assert all(description.lower() in text for description in known.subjects["church"].descriptions)


def test_captions_leave_open_only_what_they_say_they_do() -> None:
    made = [one for one in training_captions(400, seed=3) if one.scene.subjects]
    backgrounds, motions = phrases().backgrounds, phrases().motions
    for one in made:
        said = any(phrase.lower() in one.text.lower() for phrase in backgrounds[one.scene.background].seen)
        assert said or not one.says_background, one.text
        verbs = motions[one.scene.motion].seen
        forms = [*verbs, *(inflected(verb, form) for verb in verbs for form in FORMS)]
        assert any(form in one.text for form in forms) or not one.says_motion, one.text
    filmed = made[0].film(random.Random(0))
    assert filmed.subjects == made[0].scene.subjects


@pytest.mark.parametrize(
    ("phrase", "finite", "participle"),
    [
        ("move to the left", "moves to the left", "moving to the left"),
        ("go left", "goes left", "going left"),
        ("fly up", "flies up", "flying up"),
        ("stay still", "stays still", "staying still"),
        ("hop", "hops", "hopping"),
        ("pass from left to right", "passes from left to right", "passing from left to right"),
        ("come closer", "comes closer", "coming closer"),
    ],
)
def test_verbs_are_inflected(phrase: str, finite: str, participle: str) -> None:
    assert (inflected(phrase, "finite"), inflected(phrase, "participle")) == (finite, participle)


def test_prompts_say_the_concept_as_their_kind_asks() -> None:
    church = phrases().subjects["church"]
    assert all("church" in prompt.text.lower() for prompt in prompts("church", 12, 0, "plain"))
    assert all(any(noun in prompt.text for noun in church.held_out_nouns) for prompt in prompts("church", 12, 0, "word"))
    for prompt in prompts("church", 12, 0, "description"):
        assert any(description.lower() in prompt.text.lower() for description in church.held_out_descriptions)
        assert "church" not in prompt.text.lower()
    assert all(len(prompt.scene.subjects) == 2 for prompt in prompts("church", 12, 0, "pair"))
    assert all("church" not in prompt.scene.subjects for prompt in prompts("church", 12, 0, "others"))


@pytest.mark.parametrize("concept", CONCEPTS)
def test_equal_seeds_make_equal_prompts(concept: str) -> None:
    assert prompts(concept, 5, 1, "word") == prompts(concept, 5, 1, "word")
    assert prompts(concept, 5, 1, "word") != prompts(concept, 5, 2, "word")


def test_styles_and_fire_are_said_in_held_out_ways_when_asked() -> None:
    scene = Scene(("apple",), "sky", "still", "pixel art", on_fire=True)
    known = phrases()
    for seed in range(20):
        text = caption(scene, random.Random(seed), wording="word", of="on fire").text
        assert any(way in text for way in known.fire.held_out)
