"""Pairs without a language model: English sentences with the concept in them, dropped or replaced.

The concept's kind chooses the sentences (`erasers.pairs.frames`). For an abstract idea write the pairs by hand, or with a
language model, and load them with `Pairs.from_jsonl`.
"""

from __future__ import annotations

import random

from erasers.concepts import Concept
from erasers.errors import PairsError
from erasers.pairs import frames
from erasers.pairs.prompts import Pairs

_ATTEMPTS_PER_PAIR = 50


def templates(concept: Concept, n: int, seed: int) -> Pairs:
    """`n` pairs; in about half of them the negative has nothing in the concept's place, in the others something of its kind.

    Raises PairsError where the sentences yield fewer.
    """
    rng = random.Random(seed)  # noqa: S311 - it must repeat
    pairs: dict[str, str] = {}
    for _ in range(n * _ATTEMPTS_PER_PAIR):
        if len(pairs) == n:
            break
        positive, negative = frames.pair(concept, rng)
        if concept.named_in(positive) is not None and concept.named_in(negative) is None:
            pairs.setdefault(positive, negative)
    if len(pairs) < n:
        raise PairsError(f"the templates yield only {len(pairs)} different pairs for {concept.name!r}, not {n}; ask for fewer")
    return Pairs(concept, tuple(pairs), tuple(pairs.values()))
