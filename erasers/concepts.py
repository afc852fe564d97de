"""What is to be erased, and how to tell whether a text names it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, get_args

from erasers.errors import ConfigError

_WORD = re.compile(r"\w+")
_POSSESSIVE = re.compile(r"['’]s\b")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
"""Scripts written without spaces between words: there a name is looked for as a substring."""


ConceptKind = Literal["object", "identity", "style", "attribute", "scene", "activity"]
"""What a concept is, which chooses the sentences it stands in: a parachute, a person, van gogh, nudity, a harbour, smoking."""
KINDS: tuple[ConceptKind, ...] = get_args(ConceptKind)


@dataclass(frozen=True)
class Concept:
    """A concept by name. `synonyms` also name it; `keep` are neighbours that must survive (other dogs, other artists).

    `kind` chooses the sentences of `erasers.pairs.templates`. Raises ConfigError for names without a letter or digit, and for
    an unknown kind.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    description: str = ""
    kind: ConceptKind = "object"

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        object.__setattr__(self, "synonyms", tuple(self.synonyms))
        object.__setattr__(self, "keep", tuple(self.keep))
        for name in (*self.names, *self.keep):
            if not _words(name):
                raise ConfigError(f"a concept's names must contain a letter or digit, got {name!r}")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.synonyms)

    def named_in(self, text: str) -> str | None:
        """The first of the concept's names that `text` contains as whole words, in any case or regular number."""
        words = _words(text)
        return next((name for name in self.names if _contains(words, text, name)), None)


def _contains(words: list[str], text: str, name: str) -> bool:
    if _UNSPACED.search(name):
        return name.casefold() in text.casefold()
    wanted = _words_of_name(name)
    return any(words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1))


@functools.lru_cache(maxsize=4096)
def _words_of_name(name: str) -> list[str]:
    return _words(name)


def _words(text: str) -> list[str]:
    return [_singular(word) for word in _WORD.findall(_POSSESSIVE.sub("", text).casefold())]


def _singular(word: str) -> str:
    """Regular English plurals folded away. Crude on purpose: both sides of a comparison go through it."""
    if len(word) > 3 and word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if len(word) > 2 and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
