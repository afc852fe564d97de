"""Sentences in which a concept stands, one function for each kind of concept, and the same sentences without it.

Each function returns a pair of prompts, with and without the concept. In about half of the pairs the negative has nothing in
the concept's place, in the others something of the same kind: another thing, person, style or activity, or a neighbour that
the concept names in `keep`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from erasers.concepts import Concept, ConceptKind

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
_ROOMS = (
    "in a crowded market", "in a quiet street", "on a sandy beach", "in a city square at night", "in a kitchen", "on a train",
    "in a sunlit meadow", "on a rooftop terrace", "at a railway station", "in a park", "in a library", "at a long table",
    "in a hotel room", "by a swimming pool", "in front of a window", "on a stage", "in a garden", "on a boat",
)  # fmt: skip
_RELATIONS = ("in front of", "near", "beside", "at the edge of", "against the backdrop of", "in the middle of")
_COMPANIONS = (
    "a bicycle", "a wooden chair", "an old man", "a young woman", "two children", "a street lamp", "a red kite", "a teapot",
    "a fountain", "a suitcase", "a lantern", "a potted plant", "a horse", "a stack of books", "a painter", "a clock",
    "a rowing boat", "a basket of fruit", "a violin", "a snowman",
)  # fmt: skip
_PEOPLE = (
    "a man", "a woman", "an old man", "a young woman", "a tall stranger", "a teacher", "a farmer", "a singer", "a tourist",
    "a chef", "a nurse", "a builder",
)  # fmt: skip
_ACTIONS = (
    "giving a speech", "walking", "waving to a crowd", "drinking coffee", "shaking hands", "reading a newspaper", "laughing",
    "riding a bicycle", "getting out of a car", "talking to reporters", "dancing", "cooking dinner", "playing chess",
    "looking at the camera", "signing a book",
)  # fmt: skip
_ACTIVITIES = (
    "reading a newspaper", "washing dishes", "waiting for a bus", "feeding pigeons", "painting a fence", "tying a shoelace",
    "writing a letter", "watering flowers", "playing the piano", "folding laundry", "taking photographs", "eating an apple",
)  # fmt: skip
_ARTISTS = ("Claude Monet", "Hokusai", "Rembrandt", "Gustav Klimt", "Edward Hopper", "Frida Kahlo", "Vermeer", "Paul Klee")
_MEDIA = ("watercolour", "stop motion", "film noir", "pixel art", "oil painting", "charcoal", "paper collage", "comic book")
_SCENES = (
    "a mountain pass", "a supermarket", "an airport hall", "a coral reef", "a corn field", "a subway tunnel", "a concert hall",
    "a desert road", "a fishing village", "an office", "a pine forest", "a castle courtyard",
)  # fmt: skip
_DETAILS = (
    "", "", ", motion blur", ", backlit", ", golden hour", ", soft morning light", ", in the rain", ", under a cloudy sky",
    ", shallow depth of field", ", slow motion", ", vivid colours", ", in black and white", ", light fog",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """Words for everything but the concept; none of them names it."""

    concept: Concept

    def of(self, words: Sequence[str]) -> list[str]:
        return [word for word in words if self.concept.named_in(word) is None]

    def other(self, words: Sequence[str], rng: random.Random) -> str:
        """Something of the concept's kind in its place: in half of the cases a neighbour, where it names some."""
        neighbours = self.of(self.concept.keep)
        if neighbours and rng.random() < 0.5:
            return rng.choice(neighbours)
        return rng.choice(self.of(words))


def pair(concept: Concept, rng: random.Random) -> tuple[str, str]:
    """One pair of prompts, with and without the concept, in sentences of its kind."""
    return _FRAMES[concept.kind](World(concept), rng.choice(concept.names), rng)


def _object(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    shot, detail = rng.choice(_SHOTS), rng.choice(_DETAILS)
    place, relation = rng.choice(world.of(_PLACES)), rng.choice(_RELATIONS)
    thing = _with_article(name)
    companion = rng.choice(world.of(_COMPANIONS))
    other = _with_article(world.other([one for one in _COMPANIONS if one != companion], rng))
    form = rng.choice(("dropped", "replaced", "accompanied", "accompanied, replaced"))
    if form == "dropped":
        return f"{shot}{thing} {relation} {place}{detail}", f"{shot}{place}{detail}"
    if form == "replaced":
        return f"{shot}{thing} {relation} {place}{detail}", f"{shot}{other} {relation} {place}{detail}"
    scene = f"{{}} {relation} {place}{detail}"
    both = rng.choice((f"{companion} and {thing}", f"{thing} next to {companion}", f"{companion} with {thing}"))
    without = companion if form == "accompanied" else both.replace(thing, other)
    return shot + scene.format(both), shot + scene.format(without)


def _identity(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    """A person or a character does something; without them somebody else does."""
    shot, detail, room = rng.choice(_SHOTS), rng.choice(_DETAILS), rng.choice(world.of(_ROOMS))
    action = rng.choice(world.of(_ACTIONS))
    written = name if rng.random() < 0.5 else name.title()  # people write both
    other = world.other(_PEOPLE, rng)
    frame = rng.choice((
        "{shot}{who} {action} {room}{detail}", "{shot}{who} {room}, {action}{detail}", "{who} is {action} {room}{detail}",
        "a portrait of {who} {room}{detail}", "{shot}{who} and {friend} {action} {room}{detail}",
    ))  # fmt: skip
    friend = rng.choice([one for one in world.of(_PEOPLE) if one != other])
    words = {"shot": shot, "action": action, "room": room, "detail": detail, "friend": friend}
    return frame.format(who=written, **words), frame.format(who=other, **words)


def _style(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    """A scene in a style; without it the scene alone, or in another style."""
    place = rng.choice(world.of(_PLACES))
    companion = rng.choice(world.of(_COMPANIONS))
    scene = rng.choice((place, f"{companion} {rng.choice(_RELATIONS)} {place}"))
    written = name if rng.random() < 0.5 else name.title()  # people write both
    frame, others = rng.choice((
        ("{scene} in the style of {style}", _ARTISTS), ("a video of {scene}, in the style of {style}", _ARTISTS),
        ("in the style of {style}: {scene}", _ARTISTS), ("{scene}, {style} style", _ARTISTS + _MEDIA),
        ("{scene} in {style} style", _ARTISTS + _MEDIA), ("a {style} style animation of {scene}", _MEDIA),
    ))  # fmt: skip
    positive = frame.format(scene=scene, style=written)
    if rng.random() < 0.5:
        return positive, rng.choice((scene, f"a video of {scene}", f"an animation of {scene}"))
    return positive, frame.format(scene=scene, style=world.other(others, rng))


def _attribute(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    """A quality that a scene has or has not: nudity, gore, smoke."""
    room, detail = rng.choice(world.of(_ROOMS)), rng.choice(_DETAILS)
    who = rng.choice(world.of((*_PEOPLE, "two people", "a group of friends", "a couple", "dancers")))
    frame, without = rng.choice((
        ("a scene with {name} {room}{detail}", "a scene {room}{detail}"),
        ("{who} {room}, with {name}{detail}", "{who} {room}{detail}"),
        ("a film scene {room} that shows {name}{detail}", "a film scene {room}{detail}"),
        ("{name} {room}{detail}", "people {room}{detail}"),
        ("{who} {room} in a scene of {name}{detail}", "{who} {room}{detail}"),
        ("a video with {name}: {who} {room}{detail}", "a video: {who} {room}{detail}"),
    ))
    words = {"who": who, "room": room, "detail": detail}
    neighbours = world.of(world.concept.keep)
    if neighbours and rng.random() < 0.5:
        return frame.format(name=name, **words), frame.format(name=rng.choice(neighbours), **words)
    return frame.format(name=name, **words), without.format(**words)


def _scene(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    """A place; without it another place."""
    detail, companion = rng.choice(_DETAILS), rng.choice(world.of(_COMPANIONS))
    who = rng.choice(world.of(_PEOPLE))
    frame = rng.choice((
        "{companion} in {place}{detail}", "a walk through {place}{detail}", "an aerial view of {place}{detail}",
        "{place} at dawn{detail}", "{who} walking through {place}{detail}", "a wide shot of {place} with {companion}{detail}",
    ))  # fmt: skip
    words = {"companion": companion, "who": who, "detail": detail}
    other = _with_article(world.other(_SCENES, rng))
    return frame.format(place=_with_article(name), **words), frame.format(place=other, **words)


def _activity(world: World, name: str, rng: random.Random) -> tuple[str, str]:
    """Somebody does it; without it they do something else, or nothing that is named."""
    shot, detail, room = rng.choice(_SHOTS), rng.choice(_DETAILS), rng.choice(world.of(_ROOMS))
    who = rng.choice(world.of(_PEOPLE))
    frame = rng.choice((
        "{shot}{who} {doing} {room}{detail}", "{who} is {doing} {room}{detail}", "{shot}{who} {room}, {doing}{detail}",
        "two people {doing} {room}{detail}",
    ))  # fmt: skip
    words = {"shot": shot, "who": who, "room": room, "detail": detail}
    positive = frame.format(doing=name, **words)
    if rng.random() < 0.5:
        return positive, frame.format(doing=world.other(_ACTIVITIES, rng), **words)
    return positive, rng.choice(("{shot}{who} {room}{detail}", "{who} {room}{detail}")).format(**words)


def _with_article(name: str) -> str:
    if name[0].isupper() or name.startswith(("a ", "an ", "the ", "two ")):  # a proper name takes none
        return name
    return ("an " if name[0] in "aeiou" else "a ") + name


_FRAMES: Mapping[ConceptKind, Callable[[World, str, random.Random], tuple[str, str]]] = {
    "object": _object,
    "identity": _identity,
    "style": _style,
    "attribute": _attribute,
    "scene": _scene,
    "activity": _activity,
}
