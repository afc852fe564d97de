"""One spelling of a name, and no text that a reader cannot see."""

from __future__ import annotations

import random
import unicodedata
from urllib.parse import quote, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from erasers.evaluate.spelling import Spelling, respell
from service.domain.text import MAX_CONCEPT_CHARACTERS, check_text, normalise_concept


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("French  Horn", "french horn"),
        ("\tchain\u00a0saw\n", "chain saw"),
        ("ｃａｔ", "cat"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("van gogh's (late) style", "van gogh's (late) style"),
        ("हिन्दी", "हिन्दी"),
        ("犬", "犬"),
        ("7-eleven", "7-eleven"),
    ],
)
def test_names_have_one_spelling(written: str, name: str) -> None:
    assert normalise_concept(written) == name


@given(st.sampled_from(("misspelt", "homoglyph")), st.integers(0, 500))
def test_prompts_in_other_spellings_get_through_as_they_are(spelling: Spelling, seed: int) -> None:
    """So what the suite measures of them is what a client can send. Names of concepts are folded, but not to other alphabets."""
    prompt = respell("a parachute over the sea", "parachute", spelling, random.Random(seed))
    assert check_text(prompt) == prompt
    assert normalise_concept("\uff50arachute") == "parachute" != normalise_concept("p\u0430rachute")


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "../a", ".a", "a@2", "-a", "a\x00b", "\ud800", "a\u202eb", "a#b", "a?b", "🐱", "x" * 81]
)
def test_no_names(name: str) -> None:
    with pytest.raises(PydanticCustomError) as refused:
        normalise_concept(name)
    assert refused.value.type in ("invalid_concept", "invalid_text")
    refused.value.message().encode()  # tells what was wrong without repeating what cannot be said


@settings(deadline=None)
@given(st.text(max_size=100))
def test_a_name_once_normalised_stays_and_fits_a_path(text: str) -> None:
    try:
        name = normalise_concept(text)
    except PydanticCustomError:
        return
    assert normalise_concept(name) == name
    assert 1 <= len(name) <= MAX_CONCEPT_CHARACTERS
    assert "/" not in name
    assert unquote(quote(name, safe="")) == name


@settings(deadline=None)
@given(st.text())
def test_accepted_text_is_visible_and_encodes(text: str) -> None:
    try:
        check_text(text)
    except PydanticCustomError:
        return
    text.encode()
    assert not [character for character in text if unicodedata.category(character) == "Cc" and character not in "\n\r\t"]


def test_ordinary_text_of_many_scripts_is_accepted() -> None:
    for text in ("a church,\nby night", "café — “quoted” 🪂", "日本の塔", "برج", "עיר", "👩‍🚀"):
        assert check_text(text) == text
