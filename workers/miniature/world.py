"""The world that the miniature films: scenes, and a renderer that turns a scene into a short clip.

A scene names its subjects, background, motion, style and whether the subjects are on fire; `render` draws it as
`uint8 (NUM_FRAMES, SIZE, SIZE, 3)` RGB. What is random about a clip, its subjects' places, comes from its seed.

Subjects stand and move on a lattice of CELL pixels, the patch of the miniature's VAE, so that a subject looks the same to
the model wherever it is. That is what lets so small a model learn to draw in an hour. Words live in `vocabulary`, captions
in `grammar`.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from workers.miniature.vocabulary import BACKGROUNDS, CHARACTERS, MOTIONS, OBJECTS, PAPER_TEN, STYLES

SIZE = 64  # pixels, both sides
NUM_FRAMES = 9
CELL = 4  # pixels
SPRITES_DIR = Path(__file__).parent / "sprites"

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    subjects: tuple[str, ...]  # none, one or two names of objects or characters, from left to right
    background: str
    motion: str = "still"
    style: str | None = None
    on_fire: bool = False


def random_scene(rng: random.Random, *, plain: bool = False) -> Scene:
    """One scene of the training distribution; `plain` leaves out styles, fire and empty scenes.

    The paper's ten objects, on which everything is measured, come twice as often as other objects, those twice as often as
    characters.
    """
    chance = rng.random()
    count = 1 if plain or chance < 0.66 else 2 if chance < 0.95 else 0
    names = [*PAPER_TEN, *PAPER_TEN, *OBJECTS, *OBJECTS, *CHARACTERS]
    subjects: list[str] = []
    while len(subjects) < count:
        subject = rng.choice(names)
        if subject not in subjects:
            subjects.append(subject)
    return Scene(
        subjects=tuple(subjects),
        background=rng.choice(list(BACKGROUNDS)),
        motion=rng.choice(list(MOTIONS)) if subjects else "still",
        style=rng.choice(list(STYLES)) if not plain and rng.random() < 0.2 else None,
        on_fire=bool(subjects) and not plain and rng.random() < 0.1,
    )


@functools.cache
def sprite(name: str) -> Image.Image:
    """RGBA, 64 pixels square, transparent around the drawing."""
    return Image.open(SPRITES_DIR / f"{name.replace(' ', '_')}.png").convert("RGBA")


@dataclass(frozen=True)
class _Place:
    """Where a subject stands, in pixels: the centre and the side of its square. All on the lattice."""

    x: int
    y: int
    side: int


def render(
    scene: Scene,
    seed: int,
    *,
    jitter: float = 1.0,
    picture: Callable[[str], Image.Image] = sprite,
    indices: Sequence[int] = range(NUM_FRAMES),
) -> Frames:
    """Draws the clip.

    `jitter` is the chance that a subject stands one cell off its usual place, along each axis. `picture` gives the RGBA
    drawing of a subject; the classifier's training puts spoilt ones here. `indices` picks frames; drawing few is quicker.
    """
    rng = random.Random(seed)
    places = _places(len(scene.subjects), rng, jitter)
    reach = 16 if len(places) == 1 else 8
    frames = []
    for index in indices:
        frame = background(scene.background).copy()
        for subject, place in zip(scene.subjects, places, strict=True):
            moved = _moved(place, scene.motion, index, reach)
            _draw(frame, picture(subject), moved)
            if scene.on_fire:
                _burn(frame, moved, flicker=index % 2 == 1)
        frames.append(np.asarray(_styled(frame, scene.style)))
    return np.stack(frames)


def _places(count: int, rng: random.Random, jitter: float) -> list[_Place]:
    def off() -> int:
        return rng.choice((-CELL, CELL)) if rng.random() < jitter * 2 / 3 else 0

    if count == 1:
        return [_Place(32 + off(), 32 + off(), 32)]
    return [_Place(x, 32 + off(), 24) for x in (16, 48)[:count]]


def _moved(place: _Place, motion: str, index: int, reach: int) -> _Place:
    """The place at frame `index`. Subjects go one cell a frame (`reach` 16) or every second one; sizes change twice."""
    time = 2 * index / (NUM_FRAMES - 1) - 1  # -1 … 1
    shift = CELL * round(reach * time / CELL)
    size = 8 * (index * 3 // NUM_FRAMES - 1)
    match motion:
        case "left":
            return replace(place, x=place.x - shift)
        case "right":
            return replace(place, x=place.x + shift)
        case "down":
            return replace(place, y=place.y + shift)
        case "up":
            return replace(place, y=place.y - shift)
        case "bounce":
            return replace(place, y=place.y + CELL - CELL * (0, 1, 2, 1, 0, 1, 2, 1, 0)[index] * reach // 8)
        case "grow":
            return replace(place, side=place.side + size)
        case "shrink":
            return replace(place, side=place.side - size)
        case "still":
            return place
        case _:
            raise ValueError(f"unknown motion {motion!r}; one of {', '.join(MOTIONS)}")


def _draw(frame: Image.Image, picture: Image.Image, place: _Place) -> None:
    resized = _resized(picture, place.side) if picture.width != place.side else picture
    frame.paste(resized, (place.x - place.side // 2, place.y - place.side // 2), resized)


def _resized(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.BOX if 64 % side == 0 else Image.Resampling.LANCZOS)


def _burn(frame: Image.Image, place: _Place, *, flicker: bool) -> None:
    """Flames over the lower half of a subject; they lick to the other side every second frame."""
    flame = ImageOps.mirror(sprite("on fire")) if flicker else sprite("on fire")
    side = 16 if place.side <= 24 else 24
    for dx in (-2 * CELL, 2 * CELL):
        _draw(frame, flame, _Place(place.x + dx, place.y + 2 * CELL, side))


@functools.cache
def background(name: str) -> Image.Image:
    """RGB, SIZE square, drawn four times as large and box-filtered. Shared: copy before drawing on it."""
    scale = 4
    image = Image.new("RGB", (SIZE * scale, SIZE * scale))
    _BACKGROUND_PAINTERS[name](_Canvas(image, scale))
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


_Colour = tuple[int, int, int]


class _Canvas:
    """Drawing in the 64-pixel coordinates of the frame on a larger image."""

    def __init__(self, image: Image.Image, scale: int) -> None:
        self._draw = ImageDraw.Draw(image)
        self._scale = scale

    def gradient(self, top: _Colour, bottom: _Colour, y0: int, y1: int) -> None:
        for row in range(y0 * self._scale, y1 * self._scale):
            share = (row / self._scale - y0) / (y1 - y0)
            colour = tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True))
            self._draw.line([(0, row), (SIZE * self._scale, row)], fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: _Colour) -> None:
        s = self._scale
        self._draw.ellipse([(x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s], fill=fill)

    def polygon(self, points: list[tuple[float, float]], fill: _Colour) -> None:
        self._draw.polygon([(x * self._scale, y * self._scale) for x, y in points], fill=fill)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: _Colour) -> None:
        s = self._scale
        self._draw.rectangle([x0 * s, y0 * s, x1 * s - 1, y1 * s - 1], fill=fill)


def _sky(canvas: _Canvas) -> None:
    canvas.gradient((70, 140, 230), (190, 225, 255), 0, SIZE)
    for x, y, r in ((10, 11, 6), (17, 13, 6), (24, 12, 4), (50, 22, 6), (57, 23, 5), (6, 54, 5), (14, 55, 6), (44, 58, 6)):
        canvas.ellipse(x, y, r, r * 0.55, (246, 250, 255))


def _desert(canvas: _Canvas) -> None:
    canvas.gradient((250, 200, 130), (255, 225, 170), 0, 36)
    canvas.gradient((225, 170, 90), (190, 125, 60), 36, SIZE)
    canvas.ellipse(52, 11, 6, 6, (255, 250, 210))
    canvas.polygon([(0, 46), (20, 37), (44, 48), (64, 40), (64, 52), (0, 56)], (205, 145, 75))


def _sea(canvas: _Canvas) -> None:
    canvas.gradient((160, 215, 235), (220, 240, 245), 0, 28)
    canvas.gradient((40, 120, 180), (10, 60, 120), 28, SIZE)
    for row, y in enumerate(range(32, SIZE, 8)):
        for x in range(-4 + 7 * (row % 2), SIZE, 14):
            canvas.polygon([(x, y + 2), (x + 4, y), (x + 8, y + 2), (x + 4, y + 1)], (150, 205, 230))


def _city(canvas: _Canvas) -> None:
    canvas.gradient((14, 14, 44), (52, 34, 84), 0, SIZE)
    canvas.ellipse(10, 10, 4, 4, (235, 235, 215))
    for x, width, height in ((0, 9, 26), (9, 8, 36), (17, 10, 22), (27, 9, 31), (36, 8, 18), (44, 11, 38), (55, 9, 28)):
        canvas.box(x, SIZE - height, x + width - 1, SIZE, (24, 24, 38))
        for row, wy in enumerate(range(SIZE - height + 3, SIZE - 3, 6)):
            for column, wx in enumerate(range(x + 1, x + width - 3, 3)):
                if (row + 2 * column + x) % 3:
                    canvas.box(wx, wy, wx + 1.5, wy + 2, (250, 210, 95))


def _forest(canvas: _Canvas) -> None:
    canvas.gradient((165, 210, 165), (120, 175, 120), 0, 44)
    canvas.gradient((80, 130, 55), (45, 85, 35), 44, SIZE)
    for x, height in ((4, 30), (16, 38), (28, 27), (40, 35), (51, 31), (62, 38)):
        canvas.box(x - 1, 46, x + 1, 54, (90, 60, 30))
        canvas.polygon([(x - 8, 49), (x + 8, 49), (x, 49 - height)], (32, 95 + x % 20, 48))


def _snow(canvas: _Canvas) -> None:
    canvas.gradient((175, 195, 215), (225, 235, 245), 0, SIZE)
    for x, y, half, colour in ((16, 17, 24, (120, 135, 155)), (46, 25, 24, (140, 155, 175))):
        canvas.polygon([(x - half, SIZE), (x, y), (x + half, SIZE)], colour)
        canvas.polygon([(x - 5, y + 10), (x, y), (x + 5, y + 10), (x, y + 7)], (255, 255, 255))
    canvas.box(0, 55, SIZE, SIZE, (245, 248, 252))


_BACKGROUND_PAINTERS = {"sky": _sky, "desert": _desert, "sea": _sea, "city": _city, "forest": _forest, "snow": _snow}


def _styled(image: Image.Image, style: str | None) -> Image.Image:
    match style:
        case None:
            return image
        case "pixel art":
            small = image.resize((SIZE // 4, SIZE // 4), Image.Resampling.BOX)
            return ImageOps.posterize(small, 3).resize((SIZE, SIZE), Image.Resampling.NEAREST)
        case "pencil sketch":
            grey = np.asarray(ImageOps.grayscale(image), np.float32)
            paper = 252 - 1.9 * _edges(image).max(axis=2) - 0.28 * (255 - grey)
            return _from_array(np.repeat(paper[..., None], 3, axis=2))
        case "neon glow":
            colour = np.asarray(image, np.float32)
            saturation = colour - colour.mean(axis=2, keepdims=True)
            return _from_array(0.22 * colour + 0.5 * saturation + 1.2 * _edges(image) + np.array([8.0, 0.0, 26.0]))
        case "sepia film":
            tone = np.asarray(ImageOps.grayscale(image), np.float32)[..., None] / 255
            return _from_array(tone * np.array([215.0, 180.0, 130.0]) + np.array([40.0, 22.0, 8.0]))
        case _:
            raise ValueError(f"unknown style {style!r}; one of {', '.join(STYLES)}")


def _edges(image: Image.Image) -> NDArray[np.float32]:
    """Strength of edges per channel, 0 … 255, none at the border of the frame."""
    edges: NDArray[np.float32] = np.array(image.filter(ImageFilter.FIND_EDGES), np.float32)
    edges[:2] = edges[-2:] = edges[:, :2] = edges[:, -2:] = 0
    return edges


def _from_array(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
