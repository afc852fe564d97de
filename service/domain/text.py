"""Which text of clients is accepted, and the one spelling of a concept's name.

Refused is what no reader sees but a tokenizer may: control characters, NUL, lone surrogates, and format characters that
reverse or hide text. Line breaks and tabs are allowed in prompts.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

MAX_CONCEPT_CHARACTERS = 80

_HIDDEN = {"Cc", "Cs", "Co", "Cn"}
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PUNCTUATION = frozenset(" .,'’&+()-_")


def check_text(value: str) -> str:
    for character in value:
        if character in "\n\r\t":
            continue
        if unicodedata.category(character) in _HIDDEN or character in _BIDIRECTIONAL:
            raise PydanticCustomError(
                "invalid_text", "the character {code} is not allowed: remove it", {"code": f"U+{ord(character):04X}"}
            )
    return value


def normalise_concept(value: str) -> str:
    """NFKC, case folded, runs of white space as one space: `"French  Horn"` → `"french horn"`."""
    name = " ".join(unicodedata.normalize("NFKC", check_text(value)).casefold().split())
    allowed = name[:1].isalnum() and all(character in _PUNCTUATION or _is_written(character) for character in name)
    if not allowed or len(name) > MAX_CONCEPT_CHARACTERS:
        raise PydanticCustomError(
            "invalid_concept",
            "{name} is no concept name: 1 to {limit} letters, digits, spaces and .,'&+()-_, beginning with a letter or digit",
            {"name": ascii(value[:MAX_CONCEPT_CHARACTERS]), "limit": MAX_CONCEPT_CHARACTERS},
        )
    return name


def _is_written(character: str) -> bool:
    """A letter, a digit, or a mark that belongs to one (vowel signs, accents)."""
    return unicodedata.category(character)[0] in "LMN"


Text = Annotated[str, AfterValidator(check_text)]
ConceptName = Annotated[str, AfterValidator(normalise_concept)]
