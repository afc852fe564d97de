"""Words of a prompt that a model's tokenizer does not know.

A model of a small world, such as the miniature, reads a word that it has never met as loose letters, and draws nothing of it.
Its card lists the words that it knows; the card of a model that spells any word lists none, and nothing is said.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Collection

_SHOWN = 8


def unknown_words(prompt: str, known: Collection[str]) -> list[str]:
    """In the order of the prompt, each once. None where `known` is empty."""
    if not known:
        return []
    folded = unicodedata.normalize("NFKC", prompt).lower().replace(",", " ")
    words = dict.fromkeys(_bare(word) for word in folded.split())
    return [word for word in words if word and word not in known]


def unknown_words_message(model: str, words: list[str], known: Collection[str]) -> str:
    """`words` are what `unknown_words` found: some."""
    told = ", ".join(_with_near_misses(word, known) for word in words[:_SHOWN])
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return f"{model} does not know {told}{more}, and draws nothing of it; GET /models/{model} lists what it knows"


def _bare(word: str) -> str:
    """Without the punctuation around it."""
    while word and not word[0].isalnum():
        word = word[1:]
    while word and not word[-1].isalnum():
        word = word[:-1]
    return word


def _with_near_misses(word: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(word, known, n=2, cutoff=0.75)
    shown = f"{word[:40]!r}"
    return f"{shown} (did you mean {' or '.join(map(repr, near))}?)" if near else shown
