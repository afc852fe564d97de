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
_MAX_RAW_CHARACTERS = 5 * MAX_CONCEPT_CHARACTERS
"""Before normalisation, which removes white space and joins accents."""

_HIDDEN = {"Cc", "Cs", "Co", "Cn"}
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_IGNORABLE = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
)  # fmt: skip
"""First and last code points of the ranges of `Default_Ignorable_Code_Point`, from Unicode's DerivedCoreProperties."""
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
    if len(value) > _MAX_RAW_CHARACTERS:  # before any work that grows with it
        raise _invalid_concept(value)
    name = " ".join(unicodedata.normalize("NFKC", check_text(value)).casefold().split())
    allowed = name[:1].isalnum() and all(character in _PUNCTUATION or _is_written(character) for character in name)
    if not allowed or len(name) > MAX_CONCEPT_CHARACTERS:
        raise _invalid_concept(value)
    return name


def _invalid_concept(value: str) -> PydanticCustomError:
    return PydanticCustomError(
        "invalid_concept",
        "{name} is no concept name: 1 to {limit} letters, digits, spaces and .,'&+()-_, beginning with a letter or digit",
        {"name": ascii(value[:MAX_CONCEPT_CHARACTERS]), "limit": MAX_CONCEPT_CHARACTERS},
    )


def _is_written(character: str) -> bool:
    """A letter, a digit, or a mark that belongs to one (vowel signs, accents), and not one that is drawn as nothing."""
    return unicodedata.category(character)[0] in "LMN" and not is_invisible(character)


def is_invisible(character: str) -> bool:
    """Whether Unicode lists a character as one to be ignored when drawn (`Default_Ignorable_Code_Point`)."""
    code = ord(character)
    return any(first <= code <= last for first, last in _IGNORABLE)


Text = Annotated[str, AfterValidator(check_text)]
ConceptName = Annotated[str, AfterValidator(normalise_concept)]
