from __future__ import annotations

import pytest

from erasers import Concept
from erasers.errors import ConfigError, PairsError
from erasers.pairs import Pairs


@pytest.mark.parametrize(
    "text",
    ["a chain saw", "Two CHAIN SAWS, rusty", "the chain-saw's blade", "a church on a hill", "old churches", "three butterflies"],
)
def test_a_name_is_found_in_any_case_and_number(text: str) -> None:
    assert Concept("chain saw", synonyms=("church", "butterfly")).named_in(text) is not None


@pytest.mark.parametrize("text", ["a chain and a saw", "a chainsaw", "churchill", "sawing a chain", ""])
def test_only_whole_words_in_order_count(text: str) -> None:
    assert Concept("chain saw", synonyms=("church",)).named_in(text) is None


def test_says_which_name_was_found() -> None:
    assert Concept("tench", synonyms=("fish",)).named_in("a fish in the sea") == "fish"


def test_scripts_without_spaces_are_searched_as_text() -> None:
    assert Concept("降落伞").named_in("沙漠上空的降落伞") == "降落伞"
    assert Concept("降落伞").named_in("沙漠") is None


def test_a_name_without_letters_is_refused() -> None:
    with pytest.raises(ConfigError, match="letter or digit"):
        Concept("cat", synonyms=("--",))


@pytest.mark.parametrize(
    ("name", "text"),
    [("car", "a cart by the road"), ("car", "a carp in a pond"), ("cart", "a car on a road"), ("cat", "a cathedral at night")],
)
def test_a_name_within_another_word_is_another_word(name: str, text: str) -> None:
    assert Concept(name).named_in(text) is None
    both = Pairs(Concept(name), (f"{text} and a {name}",), (text,))
    assert both.negative == (text,), "such a pair is what teaches the difference"


def test_a_neighbour_to_keep_may_stand_where_the_concept_is_gone_and_a_synonym_may_not() -> None:
    dog, puppy = ("a dog in a meadow",), ("a puppy in a meadow",)
    assert len(Pairs(Concept("dog", keep=("puppy",)), dog, puppy)) == 1
    with pytest.raises(PairsError, match="the negative prompt names 'puppy'"):
        Pairs(Concept("dog", synonyms=("puppy",)), dog, puppy)
