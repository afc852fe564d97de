"""The concepts of the miniature's world and the words for them. Nothing here draws, samples or trains.

Every concept has a canonical name, synonyms that eraser training may use (`seen`), and synonyms that it never meets
(`held_out`): the evasive set. The miniature itself is trained on all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["object", "character", "style", "attribute", "background", "motion"]


@dataclass(frozen=True)
class Word:
    """One concept: `name` is canonical and part of what eraser training may use."""

    name: str
    kind: Kind
    seen: tuple[str, ...]
    held_out: tuple[str, ...]

    @property
    def trainable(self) -> tuple[str, ...]:
        return (self.name, *self.seen)

    @property
    def all(self) -> tuple[str, ...]:
        return (self.name, *self.seen, *self.held_out)


def _words(kind: Kind, table: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]) -> dict[str, Word]:
    return {name: Word(name, kind, seen, held_out) for name, (seen, held_out) in table.items()}


PAPER_TEN = (
    "cassette player",
    "chain saw",
    "church",
    "springer dog",
    "french horn",
    "garbage truck",
    "gas pump",
    "golf ball",
    "parachute",
    "tench",
)

OBJECTS = _words(
    "object",
    {
        "cassette player": (("tape player", "music cassette"), ("tape deck", "walkman")),
        "chain saw": (("saw", "wood saw"), ("timber cutter", "toothed blade")),
        "church": (("stone church", "village church"), ("chapel", "cathedral")),
        "springer dog": (("dog", "brown dog"), ("spaniel", "hound")),
        "french horn": (("horn", "brass horn"), ("bugle", "hunting trumpet")),
        "garbage truck": (("trash truck", "truck"), ("refuse lorry", "dustcart")),
        "gas pump": (("gasoline pump", "fuel pump"), ("petrol dispenser", "fuel bowser")),
        "golf ball": (("golf flag", "golf hole"), ("putting green", "tee marker")),
        "parachute": (("open parachute", "skydiver"), ("skydiving canopy", "chute")),
        "tench": (("fish", "blue fish"), ("carp", "freshwater swimmer")),
        "cat": (("tabby cat", "orange cat"), ("kitten", "feline")),
        "car": (("red car", "small car"), ("automobile", "sedan")),
        "rocket": (("space rocket", "moon rocket"), ("spaceship", "launcher")),
        "umbrella": (("purple umbrella", "open umbrella"), ("parasol", "brolly")),
        "balloon": (("red balloon", "party balloon"), ("inflatable", "helium bubble")),
        "apple": (("red apple", "ripe apple"), ("orchard fruit", "pippin")),
        "guitar": (("electric guitar", "red guitar"), ("six string", "stratocaster")),
        "butterfly": (("blue butterfly", "large butterfly"), ("winged insect", "monarch")),
        "sailboat": (("sailing boat", "small sailboat"), ("yacht", "dinghy")),
        "sunflower": (("yellow sunflower", "tall sunflower"), ("daisy bloom", "blossom")),
    },
)

CHARACTERS = _words(
    "character",
    {
        "robo max": (("max the robot", "the robot max"), ("the tin man of sector nine", "unit max")),
        "zorblax": (("zorblax the alien", "the alien zorblax"), ("the visitor from vega", "ambassador zorblax")),
        "merlo": (("merlo the wizard", "the wizard merlo"), ("the old mage of oakdale", "master merlo")),
        "count valdo": (("valdo the vampire", "the vampire valdo"), ("the lord of castle night", "dracul valdo")),
    },
)

STYLES = _words(
    "style",
    {
        "pixel art": (("8-bit", "retro pixel"), ("blocky arcade", "mosaic game")),
        "pencil sketch": (("hand drawn sketch", "graphite drawing"), ("pencilled", "charcoal line")),
        "neon glow": (("neon light", "glowing neon"), ("electric lightsign", "fluorescent outline")),
        "sepia film": (("old sepia", "brown sepia film"), ("antique photo", "vintage tinted")),
    },
)

ATTRIBUTES = _words("attribute", {"on fire": (("burning", "in flames"), ("ablaze", "engulfed in fire"))})

BACKGROUNDS = _words(
    "background",
    {
        "sky": (("in a blue sky", "against the clear sky"), ("with clouds around",)),
        "desert": (("in the sandy desert", "over a desert landscape"), ("among the dunes",)),
        "sea": (("above the sea", "over ocean waves"), ("by the blue water",)),
        "city": (("in a city at night", "over the night skyline"), ("in front of dark towers",)),
        "forest": (("in a green forest", "among the trees"), ("in the woods",)),
        "snow": (("over snowy mountains", "in a white winter valley"), ("in front of icy peaks",)),
    },
)

MOTIONS = _words(
    "motion",
    {
        "left": (("moving left", "drifting to the left"), ("gliding leftwards",)),
        "right": (("moving right", "drifting to the right"), ("gliding rightwards",)),
        "down": (("falling down", "dropping slowly"), ("descending",)),
        "up": (("rising up", "floating upwards"), ("ascending",)),
        "bounce": (("bouncing", "hopping up and down"), ("jumping",)),
        "grow": (("growing larger", "getting closer"), ("zooming in",)),
        "shrink": (("growing smaller", "going away"), ("receding",)),
        "still": (("standing still", "not moving"), ("resting",)),
    },
)

SUBJECTS: dict[str, Word] = {**OBJECTS, **CHARACTERS}
CONCEPTS: dict[str, Word] = {**SUBJECTS, **STYLES, **ATTRIBUTES}
"""What an eraser can be trained for here."""


def canonical(name: str) -> str | None:
    """The concept that `name` is the canonical name or a synonym of; None when the world does not know it."""
    wanted = " ".join(name.lower().split())
    for concept, word in CONCEPTS.items():
        if wanted in word.all:
            return concept
    return None
