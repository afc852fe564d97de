"""Natural captions: how a scene of the miniature's world is put into English for a pretrained text encoder.

The phrases lie in `phrases.toml`. `caption` composes one sentence from the phrases that training may use, or, for one concept,
from those that it never meets; `prompts` makes evaluation prompts. Both are deterministic in their random source. Nothing here
loads a model.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from workers.miniature.grammar import Prompt, require, scene_with
from workers.miniature.vocabulary import CONCEPTS, OBJECTS
from workers.miniature.world import Scene, random_scene

PHRASES_FILE = Path(__file__).with_name("phrases.toml")

Wording = Literal["canonical", "seen", "word", "description"]
"""How a caption names a concept: its name, any phrase of training, a held-out word, or a held-out description."""

PromptKind = Literal["plain", "word", "description", "pair", "others"]

_DOUBLED = {"drop": "dropping", "hop": "hopping", "get": "getting", "bob": "bobbing"}  # the last consonant, before -ing
_DESCRIBED = 0.3  # of subjects are said by a description


@dataclass(frozen=True)
class Subject:
    """The phrases for one object or character. `nouns[0]` is its canonical name."""

    nouns: tuple[str, ...]
    descriptions: tuple[str, ...]
    held_out_nouns: tuple[str, ...]
    held_out_descriptions: tuple[str, ...]


@dataclass(frozen=True)
class Ways:
    """The phrases for a background, a motion, a style or fire."""

    seen: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclass(frozen=True)
class Phrases:
    subjects: dict[str, Subject]
    backgrounds: dict[str, Ways]
    motions: dict[str, Ways]
    styles: dict[str, Ways]
    fire: Ways
    frames: dict[str, tuple[str, ...]]


@cache
def phrases() -> Phrases:
    content: dict[str, Any] = tomllib.loads(PHRASES_FILE.read_text(encoding="utf-8"))

    def ways(table: dict[str, list[str]]) -> Ways:
        return Ways(tuple(table["seen"]), tuple(table["held_out"]))

    return Phrases(
        subjects={
            name: Subject(
                tuple(table["nouns"]),
                tuple(table["descriptions"]),
                tuple(table["held_out"]["nouns"]),
                tuple(table["held_out"]["descriptions"]),
            )
            for name, table in content["subjects"].items()
        },
        backgrounds={name: ways(table) for name, table in content["backgrounds"].items()},
        motions={name: ways(table) for name, table in content["motions"].items()},
        styles={name: ways(table) for name, table in content["styles"].items()},
        fire=ways(content["fire"]),
        frames={name: tuple(values) for name, values in content["frames"].items()},
    )


@dataclass(frozen=True)
class Caption:
    """A sentence, a scene that it is true of, and which parts of that scene it leaves open."""

    text: str
    scene: Scene
    says_background: bool
    says_motion: bool

    def film(self, rng: random.Random) -> Scene:
        """A random scene that the sentence is true of. Parts that it leaves open are random."""
        other = random_scene(rng, plain=True)
        return replace(
            self.scene,
            background=self.scene.background if self.says_background else other.background,
            motion=self.scene.motion if self.says_motion or not self.scene.subjects else other.motion,
        )


def inflected(phrase: str, form: Literal["finite", "participle"]) -> str:
    """ "move to the left" → "moves to the left" or "moving to the left"."""
    verb, _, rest = phrase.partition(" ")
    if form == "finite":
        verb += "es" if verb.endswith(("o", "ch", "sh", "ss", "x")) else "s"
        verb = f"{verb[:-2]}ies" if verb.endswith("ys") and verb[-3] not in "aeiou" else verb
    elif verb in _DOUBLED:
        verb = _DOUBLED[verb]
    else:
        verb = f"{verb.removesuffix('e') if not verb.endswith('ee') else verb}ing"
    return f"{verb} {rest}".strip()


def _articled(noun: str, rng: random.Random) -> str:
    """`noun` with a determiner; proper names go without."""
    if noun.startswith("the ") or (noun[0].isupper() and _is_name(noun)):
        return noun
    determiner = rng.choice(phrases().frames["determiners"])
    return f"{_a(noun)} {noun}" if determiner == "a" else f"{determiner} {noun}"


def _is_name(noun: str) -> bool:
    return noun.startswith(("Robo Max", "Max the", "Zorblax", "Merlo ", "Valdo", "Count Valdo")) or noun in _NAMES


_NAMES = frozenset({"Merlo", "Merlin", "Gandalf", "Dracula", "Nosferatu", "Lestat", "ET"})


def _a(noun: str) -> str:
    return "an" if noun[0].lower() in "aeiou" and not noun.startswith(("one", "uni", "uku")) else "a"


def _said(ways: Ways, wording: Wording, rng: random.Random) -> str:
    return rng.choice(ways.held_out if wording in ("word", "description") else ways.seen)


def _subject(name: str, wording: Wording, rng: random.Random) -> str:
    subject = phrases().subjects[name]
    match wording:
        case "canonical":
            return _articled(subject.nouns[0], rng)
        case "word":
            return _articled(rng.choice(subject.held_out_nouns), rng)
        case "description":
            return rng.choice(subject.held_out_descriptions)
        case "seen":
            if rng.random() < _DESCRIBED:
                return rng.choice(subject.descriptions)
            return _articled(subject.nouns[0] if rng.random() < 0.15 else rng.choice(subject.nouns), rng)


def caption(scene: Scene, rng: random.Random, *, wording: Wording = "seen", of: str | None = None, fill: float = 0.06) -> Caption:
    """One sentence for `scene`.

    `wording` applies to the concept `of`. Everything else, and everything where `of` is None, uses phrases of training. `fill`
    is the chance, three times, of words that promise nothing about the picture.
    """
    known = phrases()

    def how(concept: str) -> Wording:
        return wording if concept == of else "seen"

    subjects = [_subject(name, how(name), rng) for name in scene.subjects]
    body = f" {rng.choice(known.frames['joints'])} ".join(subjects) if subjects else rng.choice(known.frames["empty"])
    if scene.on_fire:
        body += f" {_said(known.fire, how('on fire'), rng)}"
    says_background = rng.random() < 0.8 or not subjects
    says_motion = bool(subjects) and rng.random() < 0.7
    place = rng.choice(known.backgrounds[scene.background].seen) if says_background else ""
    opener = rng.choice(known.frames["openers"])
    motion = ""
    if says_motion:
        verb = rng.choice(known.motions[scene.motion].seen)
        plain_sentence = not opener and scene.style is None
        if plain_sentence and rng.random() < 0.6:
            motion = verb if len(subjects) > 1 and rng.random() < 0.7 else inflected(verb, "finite")
        else:
            motion = rng.choice(("", "", "", "that is ")) + inflected(verb, "participle")
    if place and rng.random() < 0.15 and not opener and scene.style is None:
        parts = [f"{place},", body, motion]
    else:
        parts = [body, motion, place] if rng.random() < 0.7 else [body, place, motion]
    text = " ".join(part for part in parts if part)
    if scene.style is not None:
        text = _said(known.styles[scene.style], how(scene.style), rng).format(text)
        if opener not in ("", "imagine", "I want to see", "show me", "we see", "here is", "look at"):
            opener = ""
    for _ in range(3):
        if rng.random() < fill:
            text += f", {rng.choice(known.frames['fillers'])}"
    text = f"{opener} {text}".strip()
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:] + ("." if rng.random() < 0.6 else "")
    return Caption(text, scene, says_background, says_motion)


def prompts(concept: str, n: int, seed: int, kind: PromptKind) -> list[Prompt]:
    """Evaluation prompts of one cell.

    plain: the concept by its canonical name, alone. word, description: by phrases that the denoiser's training held out.
    pair: by its name, beside another object. others: every other object in turn, alone, by its name, without the concept.
    """
    concept = require(concept)
    if kind not in get_args(PromptKind):
        raise ValueError(f"no prompts of kind {kind!r}; one of {', '.join(get_args(PromptKind))}")
    rng = random.Random(f"natural prompts/{concept}/{kind}/{seed}")
    return list(_prompts(concept, n, rng, kind))


def _prompts(concept: str, n: int, rng: random.Random, kind: PromptKind) -> Iterator[Prompt]:
    others = [name for name in OBJECTS if name != concept]
    rng.shuffle(others)
    for index in range(n):
        target = others[index % len(others)] if kind == "others" else concept
        scene = scene_with(target, rng, second=kind == "pair")
        wording: Wording = kind if kind == "word" or kind == "description" else "canonical"
        made = caption(scene, rng, wording=wording, of=target, fill=0.0)
        yield Prompt(made.text, scene)


def held_out(concept: str) -> tuple[str, ...]:
    """Phrases for `concept` that are held out of training: words and descriptions, or ways to ask for a style or for fire."""
    known, concept = phrases(), require(concept)
    if concept in known.subjects:
        return (*known.subjects[concept].held_out_nouns, *known.subjects[concept].held_out_descriptions)
    return known.styles[concept].held_out if CONCEPTS[concept].kind == "style" else known.fire.held_out
