"""What the miniature's world holds, for its model card. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from workers.contract import KnownWorld
from workers.miniature.vocabulary import ATTRIBUTES, BACKGROUNDS, CHARACTERS, MOTIONS, OBJECTS, STYLES, Word


def known_world() -> KnownWorld:
    return KnownWorld(
        objects=_words(OBJECTS),
        characters=_words(CHARACTERS),
        styles=_words(STYLES),
        attributes=_words(ATTRIBUTES),
        backgrounds=_words(BACKGROUNDS),
        motions=_words(MOTIONS),
    )


def _words(table: Mapping[str, Word]) -> dict[str, tuple[str, ...]]:
    """By name, what prompts may call it. Captions say backgrounds and motions in phrases and never by their name."""
    phrases = ("background", "motion")
    return {
        name: (*word.seen, *word.held_out) if word.kind in phrases else word.all for name, word in table.items()
    }
