"""What the testbed asks: splits that share nothing, words that stay on their side."""

from __future__ import annotations

import pytest

from erasers.concepts import Concept
from erasers.errors import PairsError
from erasers.testbed.questions import CONCEPT, FULL, Question, questions, validation_questions
from erasers.testbed.readers import lesson
from erasers.testbed.scenes import frames, scenes, unrelated
from erasers.testbed.subjects import Subject, bare, subjects
from erasers.testbed.training import keep_prompts, pairs
from erasers.testbed.variants import VARIANTS, Variant

EVERYTHING = list(subjects().values())
by_name = pytest.mark.parametrize("subject", EVERYTHING, ids=lambda subject: subject.name)


def asked(subject: Subject) -> dict[str, list[Question]]:
    return dict(questions(subject, EVERYTHING, FULL, 0))


def test_there_are_objects_an_identity_a_style_and_an_attribute() -> None:
    kinds = [subject.kind for subject in EVERYTHING]
    assert len(kinds) >= 10
    assert set(kinds) == {"object", "identity", "style", "attribute"}


@pytest.mark.parametrize("kind", frames())
def test_parts_share_no_frame_place_or_filler(kind: str) -> None:
    parts = frames()[kind]
    for what in ("places", "others"):
        values = [value for part in parts.values() for value in part[what]]
        assert len(values) == len(set(values))
    sentences = [tuple(frame) for part in parts.values() for frame in part["frames"]]
    assert len(sentences) == len(set(sentences))
    for frame, without in sentences:
        assert frame.count("{thing}") == 1
        assert "{thing}" not in without


def test_no_phrase_means_two_things() -> None:
    phrases = [phrase for subject in EVERYTHING for phrase in (*subject.words, *subject.near)]
    assert len(phrases) == len(set(phrases))


@by_name
def test_only_what_shows_a_subject_names_it(subject: Subject) -> None:
    known = Concept(subject.name, tuple(bare(word) for word in subject.words[1:]))
    must_not = [*subject.near, *subject.paraphrases, *unrelated("test"), *unrelated("validation")]
    must_not += [scene.without for part in ("train", "validation", "test") for scene in scenes(subject.kind, part, 16, 0)]
    must_not += [question.prompt for cell in ("others", "keep", "neighbours") for question in asked(subject)[cell]]
    assert [prompt for prompt in must_not if known.named_in(prompt) is not None] == []
    shown = [question.prompt for cell in ("plain", "synonyms") for question in asked(subject)[cell]]
    assert [prompt for prompt in shown if not any(word in prompt for word in subject.words)] == []


@by_name
@pytest.mark.parametrize("variant", [VARIANTS["clear"], VARIANTS["clear-no-synonyms"], VARIANTS["clear-keep-negatives"]])
def test_training_sees_nothing_that_is_held_out(subject: Subject, variant: Variant) -> None:
    made = pairs(subject, variant, 0)
    assert len(made) == variant.pairs
    told = [*made.positive, *made.negative]
    hidden = [*subject.held_out, *subject.neighbours, *(() if variant.synonyms else subject.names[1:])]
    assert [prompt for prompt in told if any(phrase in prompt for phrase in hidden if phrase not in subject.names[0])] == []
    tested = {question.prompt for cell in asked(subject).values() for question in cell}
    chosen_on = {question.prompt for cell in validation_questions(subject, FULL, 0).values() for question in cell}
    assert not tested & chosen_on
    assert not (tested | chosen_on) & {*told, *keep_prompts(subject, 0), *lesson(subject, FULL, 0).prompts()}


@by_name
def test_neighbours_stand_in_half_of_the_negatives_that_are_to_have_them(subject: Subject) -> None:
    def shares(variant: str) -> float:
        negatives = pairs(subject, VARIANTS[variant], 0).negative
        return sum(any(phrase in prompt for phrase in subject.keep) for prompt in negatives) / len(negatives)

    assert shares("clear") == 0
    assert shares("clear-keep-negatives") == pytest.approx(0.5, abs=0.02)


@by_name
def test_every_prompt_but_the_unrelated_has_a_reader(subject: Subject) -> None:
    for cell, found in asked(subject).items():
        assert found
        assert len({question.prompt for question in found}) == len(found)
        for question in found:
            assert (question.reader is None) == (cell == "unrelated")
            if cell in CONCEPT:
                assert question.reader == subject.name


def test_more_scenes_than_there_are_is_an_error() -> None:
    with pytest.raises(PairsError, match=r"validation frames of style yield only \d+ different scenes, not 5000"):
        scenes("style", "validation", 5000, 0)
