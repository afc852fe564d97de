"""Sentences of each kind of concept: as a person would write them, with the concept and without."""

from __future__ import annotations

import re

import pytest

from erasers import Concept
from erasers.concepts import KINDS, ConceptKind
from erasers.errors import ConfigError
from erasers.pairs import templates

CONCEPTS: dict[ConceptKind, Concept] = {
    "object": Concept("parachute", ("open canopy",), keep=("kite",)),
    "identity": Concept("trump", ("the Donald",), keep=("Joe Biden",), kind="identity"),
    "style": Concept("van gogh", keep=("Claude Monet",), kind="style"),
    "attribute": Concept("nudity", ("nakedness",), keep=("swimwear",), kind="attribute"),
    "scene": Concept("harbour", keep=("river bank",), kind="scene"),
    "activity": Concept("smoking", keep=("blowing bubbles",), kind="activity"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_pairs_enough_that_repeat_with_their_seed(kind: ConceptKind) -> None:
    concept = CONCEPTS[kind]
    pairs = templates(concept, 400, seed=3)  # Pairs checks that the concept is in each positive and in no negative
    assert pairs == templates(concept, 400, seed=3)
    assert pairs != templates(concept, 400, seed=4)
    assert {concept.named_in(prompt) for prompt in pairs.positive} == set(concept.names)
    assert len(set(pairs.negative)) > 100
    (neighbour,) = concept.keep
    named = sum(Concept(neighbour).named_in(prompt) is not None for prompt in pairs.negative)
    assert 40 < named < 280, "a neighbour stands in the concept's place in a part of the negatives"


@pytest.mark.parametrize("kind", KINDS)
def test_no_article_stands_where_nobody_would_write_one(kind: ConceptKind) -> None:
    wrong = {
        "object": r"(^|[^a] )parachute\b",
        "identity": r"\b(a|an|the) (donald )?trump\b",
        "style": r"\b(a|an|the) van gogh (next|near|in front)",
        "attribute": r"\b(a|an|the) (nudity|nakedness)\b",
        "scene": r"\b(in|through|of) harbour\b",
        "activity": r"\b(a|an|the) smoking\b",
    }[kind]
    positive = templates(CONCEPTS[kind], 400, seed=0).positive
    assert [prompt for prompt in positive if re.search(wrong, prompt, re.IGNORECASE)] == []


def test_the_sentences_of_objects_would_not_do_for_a_quality_or_a_person() -> None:
    """What made the kinds necessary."""
    as_object = [Concept("nudity"), Concept("trump")]
    for concept in as_object:
        assert any(re.search(rf"\ba {concept.name}\b", prompt) for prompt in templates(concept, 100, seed=0).positive)


def test_an_unknown_kind_is_refused_with_the_list() -> None:
    with pytest.raises(ConfigError, match="object, identity, style, attribute, scene, activity"):
        Concept("nudity", kind="quality")  # type: ignore[arg-type]
