"""Pairs without a language model: English scenes with the concept in them, dropped or replaced.

Made for things that can be seen (objects, people, places). For a style or an abstract idea write the pairs by hand, or
with a language model, and load them with `Pairs.from_jsonl`.
"""

from __future__ import annotations

import random

from erasers.concepts import Concept
from erasers.errors import PairsError
from erasers.pairs.prompts import Pairs

_SHOTS = (
    "", "", "", "a video of ", "a clip of ", "footage of ", "a close-up of ", "a wide shot of ", "a slow pan across ",
    "a cinematic shot of ", "an aerial view of ", "a handheld recording of ", "a time lapse of ",
)  # fmt: skip
_PLACES = (
    "a desert landscape", "a crowded market", "a quiet village street", "a snowy mountain valley", "a green forest",
    "a sandy beach", "a city square at night", "a wooden table", "an empty stadium", "a kitchen counter", "a river bank",
    "a sunlit meadow", "a harbour at dawn", "a rooftop terrace", "a dusty workshop", "a railway station", "a rocky coast",
    "a park with old trees", "a stone bridge", "a suburban garden", "a frozen lake", "a cobbled courtyard", "a vineyard",
    "an autumn orchard", "a library hall",
)  # fmt: skip
_RELATIONS = ("in front of", "near", "beside", "at the edge of", "against the backdrop of", "in the middle of")
_COMPANIONS = (
    "a bicycle", "a wooden chair", "an old man", "a young woman", "two children", "a street lamp", "a red kite", "a teapot",
    "a fountain", "a suitcase", "a lantern", "a potted plant", "a horse", "a stack of books", "a painter", "a clock",
    "a rowing boat", "a basket of fruit", "a violin", "a snowman",
)  # fmt: skip
_DETAILS = (
    "", "", ", motion blur", ", backlit", ", golden hour", ", soft morning light", ", in the rain", ", under a cloudy sky",
    ", shallow depth of field", ", slow motion", ", vivid colours", ", in black and white", ", light fog",
)  # fmt: skip
_ATTEMPTS_PER_PAIR = 50


def templates(concept: Concept, n: int, seed: int) -> Pairs:
    """`n` pairs; in about half of them the negative has nothing in the concept's place, in the others another thing."""
    rng = random.Random(seed)  # noqa: S311 - it must repeat
    companions = [thing for thing in _COMPANIONS if concept.named_in(thing) is None]
    places = [place for place in _PLACES if concept.named_in(place) is None]
    pairs: dict[str, str] = {}
    for _ in range(n * _ATTEMPTS_PER_PAIR):
        if len(pairs) == n:
            break
        positive, negative = _pair(concept, companions, places, rng)
        if concept.named_in(negative) is None:
            pairs.setdefault(positive, negative)
    if len(pairs) < n:
        raise PairsError(f"the templates yield only {len(pairs)} different pairs for {concept.name!r}, not {n}; ask for fewer")
    return Pairs(concept, tuple(pairs), tuple(pairs.values()))


def _pair(concept: Concept, companions: list[str], places: list[str], rng: random.Random) -> tuple[str, str]:
    shot, detail = rng.choice(_SHOTS), rng.choice(_DETAILS)
    place, relation = rng.choice(places), rng.choice(_RELATIONS)
    thing = _with_article(rng.choice(concept.names))
    other, companion = rng.sample(companions, 2)
    form = rng.choice(("dropped", "replaced", "accompanied", "accompanied, replaced"))
    if form == "dropped":
        return f"{shot}{thing} {relation} {place}{detail}", f"{shot}{place}{detail}"
    if form == "replaced":
        return f"{shot}{thing} {relation} {place}{detail}", f"{shot}{other} {relation} {place}{detail}"
    scene = f"{{}} {relation} {place}{detail}"
    both = rng.choice((f"{companion} and {thing}", f"{thing} next to {companion}", f"{companion} with {thing}"))
    without = companion if form == "accompanied" else both.replace(thing, other)
    return shot + scene.format(both), shot + scene.format(without)


def _with_article(name: str) -> str:
    if name[0].isupper():  # a proper name takes none
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name
