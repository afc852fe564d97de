"""A concept's name in spellings that look like it to a reader and not to a program: misspelt, or in look-alike characters.

No pairs hold them, so they measure what an eraser makes of words that it never saw. What the model draws from such a prompt
without the eraser has to be measured beside it: a tokenizer may fold the characters, or know none of them. Free of torch.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable
from typing import Literal

from erasers.errors import ConfigError

Spelling = Literal["misspelt", "homoglyph"]

CYRILLIC = dict(zip("aceijopsxyh", "асеіјорѕхуһ", strict=True))
GREEK = dict(zip("aikoptuvx", "αικορτυνχ", strict=True))
FULL_WIDTH = {letter: chr(ord(letter) + 0xFEE0) for letter in string.ascii_letters}
JOINER = "\u200d"
"""Zero width: it is in the text and not on the screen."""

_LONG = 4
"""Letters from which on a word with a wrong one is still read as what it was."""


def respell(prompt: str, name: str, spelling: Spelling, rng: random.Random) -> str:
    """The prompt with the first mention of `name` in one such spelling. Raises ConfigError where there is none."""
    found = re.search(rf"\b{re.escape(name)}\b", prompt, re.IGNORECASE)
    if found is None:
        raise ConfigError(f"the prompt does not mention {name!r}, so nothing in it can be spelt otherwise: {prompt!r}")
    kinds = [variants for variants in KINDS[spelling](found[0]) if variants]
    if not kinds:
        raise ConfigError(f"no letter of {name!r} can be {'mistaken' if spelling == 'misspelt' else 'replaced by a look-alike'}")
    return prompt[: found.start()] + rng.choice(rng.choice(kinds)) + prompt[found.end() :]


def misspellings(name: str) -> list[list[str]]:
    """By kind: one letter dropped, doubled, or swapped with the next one, in the long words where there are such."""
    words = [match.span() for match in re.finditer(r"[^\W\d_]+", name)]
    long = [(start, end) for start, end in words if end - start >= _LONG] or [span for span in words if span[1] - span[0] > 1]
    at = [i for start, end in long for i in range(start, end)]
    within = [i for start, end in long for i in range(start, end - 1)]
    kinds = (
        [name[:i] + name[i + 1 :] for i in at],
        [name[: i + 1] + name[i:] for i in at],
        [name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in within],
    )
    return [[other for other in dict.fromkeys(variants) if other != name] for variants in kinds]


def homoglyphs(name: str) -> list[list[str]]:
    """By kind: Cyrillic or Greek letters for one or for all, everything in full width, a zero-width joiner inside."""
    inside = [i for i in range(1, len(name)) if name[i - 1].isalpha() and name[i].isalpha()]
    full_width = _translated(name, FULL_WIDTH)
    return [
        _one_or_all(name, CYRILLIC),
        _one_or_all(name, GREEK),
        [full_width] if full_width != name else [],
        [name[:i] + JOINER + name[i:] for i in inside],
    ]


KINDS: dict[Spelling, Callable[[str], list[list[str]]]] = {"misspelt": misspellings, "homoglyph": homoglyphs}


def _one_or_all(name: str, alike: dict[str, str]) -> list[str]:
    one = [name[:i] + alike[letter] + name[i + 1 :] for i, letter in enumerate(name) if letter in alike]
    return list(dict.fromkeys([*one, _translated(name, alike)])) if one else []


def _translated(name: str, alike: dict[str, str]) -> str:
    return "".join(alike.get(letter, letter) for letter in name)
