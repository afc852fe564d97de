"""Names in other spellings: what is made of them, and that no check of whole words finds them."""

from __future__ import annotations

import random
import unicodedata
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasers import Concept
from erasers.errors import ConfigError
from erasers.evaluate.spelling import JOINER, Spelling, homoglyphs, misspellings, respell

NAMES = ("parachute", "french horn", "gas pump", "golf ball", "tench", "car")
spellings = st.sampled_from(("misspelt", "homoglyph"))


def test_a_letter_is_dropped_doubled_or_swapped() -> None:
    dropped, doubled, swapped = misspellings("tench")
    assert dropped == ["ench", "tnch", "tech", "tenh", "tenc"]
    assert doubled == ["ttench", "teench", "tennch", "tencch", "tenchh"]
    assert swapped == ["etnch", "tnech", "tecnh", "tenhc"]


def test_short_words_stay_where_there_are_long_ones() -> None:
    assert all(variant.startswith("gas ") for kind in misspellings("gas pump") for variant in kind)
    assert misspellings("car")[0] == ["ar", "cr", "ca"]
    assert "ball" not in [variant.split()[1] for kind in misspellings("golf ball") for variant in kind if variant[:5] == "golf "]


def test_look_alikes() -> None:
    cyrillic, greek, full_width, joined = homoglyphs("car")
    assert cyrillic == ["\u0441ar", "c\u0430r", "\u0441\u0430r"]
    assert greek == ["c\u03b1r"]
    assert full_width == ["\uff43\uff41\uff52"]
    assert joined == [f"c{JOINER}ar", f"ca{JOINER}r"]
    assert unicodedata.normalize("NFKC", full_width[0]) == "car", "the one kind that compatibility folding undoes"
    assert all(unicodedata.normalize("NFKC", other) != "car" for other in (*cyrillic, *greek, *joined))


@given(st.sampled_from(NAMES), spellings, st.integers(0, 1000))
def test_the_rest_of_the_prompt_stays_and_the_name_is_not_found_any_more(name: str, spelling: Spelling, seed: int) -> None:
    prompt = f"a carpet, a {name} and another {name} over the sea"
    other = respell(prompt, name, spelling, random.Random(seed))
    assert other == respell(prompt, name, spelling, random.Random(seed))
    assert other.startswith("a carpet, a ")
    assert other.endswith(f" and another {name} over the sea")
    first = other.removeprefix("a carpet, a ").removesuffix(f" and another {name} over the sea")
    assert Concept(name).named_in(first) is None
    if spelling == "misspelt":
        assert (
            1
            <= len(first) + len(name) - 2 * sum(block.size for block in SequenceMatcher(None, first, name).get_matching_blocks())
            <= 2
        )
    else:
        assert not first.isascii()


def test_what_cannot_be_respelt_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not mention 'car'"):
        respell("a cart on a road", "car", "misspelt", random.Random(0))
    with pytest.raises(ConfigError, match="can be replaced by a look-alike"):
        respell("version 8", "8", "homoglyph", random.Random(0))
    with pytest.raises(ConfigError, match="can be mistaken"):
        respell("version 8", "8", "misspelt", random.Random(0))
