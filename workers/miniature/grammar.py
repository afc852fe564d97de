"""Captions: how the miniature's scenes are put into words, and prompts and pairs for erasers and evaluations.

`caption` writes one scene in one of many ways; `pairs` makes training data of an eraser, in which no held-out synonym of
any concept occurs; `prompts` makes evaluation prompts. All are deterministic in their seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from workers.miniature.vocabulary import (
    ATTRIBUTES,
    BACKGROUNDS,
    CHARACTERS,
    CONCEPTS,
    MOTIONS,
    OBJECTS,
    STYLES,
    SUBJECTS,
    Word,
    canonical,
)
from workers.miniature.world import Scene, random_scene
from workers.scene import WantedScene

Wording = Literal["canonical", "trainable", "held_out", "any"]
PromptKind = Literal["plain", "synonym", "pair", "scene", "others"]

JOINTS = ("and", "next to", "with", "beside", "near")
OPENERS = ("", "", "", "a video of", "a clip of", "footage of", "a short film of", "a photo of", "a scene with")
STYLE_OPENERS = ("a {} video of", "{} of", "a {} clip of", "a {} picture of")
STYLE_CLOSERS = ("in {} style", "{} style", "as {}")
EMPTY = ("an empty scene", "a landscape", "nothing", "an empty view", "scenery")
FILLERS = (
    "beautiful", "cinematic", "high quality", "detailed", "4k", "hd", "wide shot", "close up", "slow motion", "backlit",
    "soft light", "sharp focus", "vivid colors", "at noon", "at dawn", "professional", "highly realistic", "camera pans",
    "aerial view", "low angle", "motion blur", "peaceful", "dramatic", "sunny", "lonely", "single", "handheld camera",
    "shallow depth of field", "masterpiece", "stock footage", "trending", "calm", "epic", "natural light", "studio",
    "time lapse", "tracking shot", "golden hour",
)  # fmt: skip
"""Words that promise nothing about the picture; the models learn to look past them."""


def caption(
    scene: Scene,
    rng: random.Random,
    *,
    wording: Wording = "any",
    of: str | None = None,
    fill: float = 0.0,
    complete: bool = False,
) -> str:
    """One sentence for `scene`.

    `wording` rules the choice of synonyms: of the concept `of` alone when it is given (every other word is then
    trainable), else of all. `fill` is the chance of words that mean nothing for the picture. `complete`: background and motion
    are always named; else the caption leaves them out now and then.
    """

    base = rng.random()

    def draw(part: str) -> random.Random:
        """Every decision has a source of its own, so that scenes that differ in one part differ in its words alone."""
        return random.Random(f"{base}/{part}")

    def say(word: Word) -> str:
        return draw(f"word/{word.name}").choice(_choices(word, wording if of in (None, word.name) else "trainable"))

    subjects = [_with_article(say(SUBJECTS[name]), draw(f"article/{name}")) for name in scene.subjects]
    body = f" {draw('joint').choice(JOINTS)} ".join(subjects) if subjects else draw("empty").choice(EMPTY)
    if scene.on_fire:
        body = f"{body} {say(ATTRIBUTES['on fire'])}"
    parts = [body]
    if complete or draw("has background").random() < 0.85 or not subjects:
        parts.append(say(BACKGROUNDS[scene.background]))
    if subjects and (complete or draw("has motion").random() < 0.75):
        parts.insert(draw("order").choice((1, len(parts))), say(MOTIONS[scene.motion]))
    if scene.style is None:
        parts[0] = f"{draw('opener').choice(OPENERS)} {parts[0]}".strip()
    elif draw("style in front").random() < 0.7:
        opener = draw("style opener").choice(STYLE_OPENERS).format(say(STYLES[scene.style]))
        parts[0] = f"{_articled(opener)} {parts[0]}"
    else:
        parts.append(draw("style closer").choice(STYLE_CLOSERS).format(say(STYLES[scene.style])))
    fillers = draw("fillers")
    for _ in range(3):
        if fillers.random() < fill:
            parts.insert(fillers.randint(1, len(parts)), fillers.choice(FILLERS))
    return draw("comma").choice((" ", " ", ", ")).join(parts)


def _choices(word: Word, wording: Wording) -> tuple[str, ...]:
    """Backgrounds and motions are labelled by a canonical name that nobody says: they have phrases only."""
    phrases = word.kind in ("background", "motion")
    match wording:
        case "canonical":
            return word.seen if phrases else (word.name,)
        case "trainable":
            return word.seen if phrases else word.trainable
        case "held_out":
            return word.held_out
        case "any":
            return (*word.seen, *word.held_out) if phrases else word.all


def _with_article(name: str, rng: random.Random) -> str:
    if canonical(name) in CHARACTERS:
        return name
    return f"the {name}" if rng.random() < 0.2 else _articled(f"a {name}")


def _articled(phrase: str) -> str:
    """`phrase` with its leading "a " as the next letter wants it."""
    return f"an {phrase[2:]}" if phrase.startswith("a ") and phrase[2] in "aeiou8" else phrase


def with_typo(text: str, rng: random.Random) -> str:
    """`text` with one letter of one word dropped, doubled, swapped or replaced."""
    words = text.split(" ")
    long = [index for index, word in enumerate(words) if len(word) >= 4]
    if not long:
        return text
    index = rng.choice(long)
    word = words[index]
    at = rng.randrange(len(word) - 1)
    words[index] = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[at + 1 :],
        )
    )
    return " ".join(words)


@dataclass(frozen=True)
class Prompt:
    text: str
    scene: Scene


def scene_with(concept: str, rng: random.Random, *, second: bool) -> Scene:
    """A random scene in which the concept is present; with a second subject beside it where asked."""
    scene = random_scene(rng, plain=True)
    kind = CONCEPTS[concept].kind
    if kind == "style":
        scene = replace(scene, style=concept)
    elif kind == "attribute":
        scene = replace(scene, on_fire=True)
    else:
        scene = replace(scene, subjects=(concept,))
    if second:
        other = _other_object(scene.subjects, rng)
        both = (scene.subjects[0], other) if rng.random() < 0.5 else (other, scene.subjects[0])
        scene = replace(scene, subjects=both)
    return scene


def _other_object(subjects: tuple[str, ...], rng: random.Random) -> str:
    return rng.choice([name for name in OBJECTS if name not in subjects])


def _without(scene: Scene, concept: str, rng: random.Random) -> Scene:
    """The same scene without the concept: a subject is dropped or replaced, a style or attribute left out."""
    kind = CONCEPTS[concept].kind
    if kind == "style":
        return replace(scene, style=None if rng.random() < 0.5 else rng.choice([name for name in STYLES if name != concept]))
    if kind == "attribute":
        return replace(scene, on_fire=False)
    rest = tuple(name for name in scene.subjects if name != concept)
    if rest or rng.random() < 0.4:
        return replace(scene, subjects=rest)
    return replace(scene, subjects=(_other_object(scene.subjects, rng),))


def asked(prompt: Prompt, concept: str) -> WantedScene:
    """What the words of a prompt ask for beside the concept. A motion counts where something else than the concept moves."""
    scene = prompt.scene
    rest = tuple(name for name in scene.subjects if name != concept)
    return WantedScene(
        background=scene.background if _says(prompt.text, BACKGROUNDS[scene.background]) else None,
        motion=scene.motion if rest and _says(prompt.text, MOTIONS[scene.motion]) else None,
        style=scene.style if scene.style != concept else None,
        objects=rest,
    )


def _says(text: str, word: Word) -> bool:
    return any(phrase in text for phrase in (*word.seen, *word.held_out))


def require(name: str) -> str:
    """The concept called `name`; ValueError with the concepts there are when the world has none."""
    concept = canonical(name)
    if concept is None:
        raise ValueError(f"the miniature's world has no concept {name!r}; it has: {', '.join(CONCEPTS)}")
    return concept


def pairs(concept: str, n: int, seed: int) -> list[tuple[str, str]]:
    """`n` different (positive, negative) captions that differ in the concept alone, held-out synonyms of all kept out."""
    concept = require(concept)
    rng = random.Random(f"pairs/{concept}/{seed}")
    made: dict[str, str] = {}
    while len(made) < n:
        positive = scene_with(concept, rng, second=rng.random() < 0.35)
        negative = _without(positive, concept, rng)
        words = rng.random()
        texts = [caption(scene, random.Random(words), wording="trainable", fill=0.05) for scene in (positive, negative)]
        if texts[0] != texts[1] and texts[0] not in made:
            made[texts[0]] = texts[1]
    return list(made.items())


def prompts(concept: str, n: int, seed: int, kind: PromptKind) -> list[Prompt]:
    """Evaluation prompts of one cell.

    plain: the concept by its canonical name, alone. synonym: by held-out synonyms. pair: beside another object.
    scene: by its canonical name, with a background and a motion, and in turn alone, beside another object, and in a style.
    others: every other object in turn, alone, by its canonical name, without the concept.
    """
    concept = require(concept)
    rng = random.Random(f"prompts/{concept}/{kind}/{seed}")
    return list(_prompts(concept, n, rng, kind))


def _prompts(concept: str, n: int, rng: random.Random, kind: PromptKind) -> Iterator[Prompt]:
    others = [name for name in OBJECTS if name != concept]
    rng.shuffle(others)
    for index in range(n):
        if kind == "others":
            target = others[index % len(others)]
            scene = replace(random_scene(rng, plain=True), subjects=(target,))
            yield Prompt(caption(scene, rng, wording="canonical", of=target), scene)
        else:
            scene = scene_with(concept, rng, second=kind == "pair" or (kind == "scene" and index % 3 == 1))
            if kind == "scene" and index % 3 == 2 and scene.style is None:
                scene = replace(scene, style=rng.choice(list(STYLES)))
            wording: Wording = "held_out" if kind == "synonym" else "canonical"
            yield Prompt(caption(scene, rng, wording=wording, of=concept, complete=kind == "scene"), scene)
