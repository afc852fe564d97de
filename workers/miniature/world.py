"""The world that the miniature films: scenes, and a renderer that turns a scene into a short clip.

A scene names its subjects, background, motion, style and whether the subjects are on fire; `render` draws it as
`uint8 (NUM_FRAMES, SIZE, SIZE, 3)` RGB. Everything random about a clip (place, size, flicker) comes from its seed.
Words live in `vocabulary`, captions in `grammar`.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from workers.miniature.vocabulary import BACKGROUNDS, CHARACTERS, MOTIONS, OBJECTS, STYLES

SIZE = 64  # pixels, both sides
NUM_FRAMES = 9
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
    """One scene of the training distribution; `plain` leaves out styles, fire and empty scenes."""
    chance = rng.random()
    count = 1 if plain or chance < 0.74 else 2 if chance < 0.95 else 0
    names = [*OBJECTS, *OBJECTS, *CHARACTERS]
    subjects = []
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
    """Where a subject stands in the middle of the clip: centre and side length in pixels."""

    x: float
    y: float
    side: float


def render(scene: Scene, seed: int, *, jitter: float = 1.0, picture: Callable[[str], Image.Image] = sprite) -> Frames:
    """Draws the clip.

    `jitter` 0 puts every subject at its fixed place, 1 is the full range of places and sizes. `picture` gives the RGBA
    drawing of a subject; the classifier's training puts spoilt ones here.
    """
    rng = random.Random(seed)
    places = _places(len(scene.subjects), rng, jitter)
    reach = rng.uniform(8 - jitter, 8 + jitter)
    frames = []
    for index in range(NUM_FRAMES):
        time = 2 * index / (NUM_FRAMES - 1) - 1  # -1 … 1
        frame = background(scene.background).copy()
        for subject, place in zip(scene.subjects, places, strict=True):
            _draw(frame, picture(subject), _moved(place, scene.motion, time, reach))
            if scene.on_fire:
                _burn(frame, _moved(place, scene.motion, time, reach), flicker=index % 2 == 1)
        frames.append(np.asarray(_styled(frame, scene.style)))
    return np.stack(frames)


def _places(count: int, rng: random.Random, jitter: float) -> list[_Place]:
    def near(value: float, spread: float) -> float:
        return value + jitter * rng.uniform(-spread, spread)

    if count == 1:
        return [_Place(near(32, 4), near(33, 4), near(31, 2))]
    return [_Place(near(x, 1.5), near(33, 3), near(27, 1)) for x in (17, 47)[:count]]


def _moved(place: _Place, motion: str, time: float, reach: float) -> _Place:
    x, y, side = place.x, place.y, place.side
    match motion:
        case "left":
            x -= reach * time
        case "right":
            x += reach * time
        case "down":
            y += reach * time
        case "up":
            y -= reach * time
        case "bounce":
            y += reach * (0.7 - 1.4 * abs(math.sin(math.pi * (time + 1))))
        case "grow":
            side *= 1 + 0.25 * time
        case "shrink":
            side *= 1 - 0.25 * time
        case "still":
            pass
        case _:
            raise ValueError(f"unknown motion {motion!r}; one of {', '.join(MOTIONS)}")
    return _Place(x, y, side)


def _draw(frame: Image.Image, picture: Image.Image, place: _Place) -> None:
    side = max(2, round(place.side))
    resized = picture.resize((side, side), Image.Resampling.BOX if side <= 32 else Image.Resampling.LANCZOS)
    frame.paste(resized, (round(place.x - side / 2), round(place.y - side / 2)), resized)


def _burn(frame: Image.Image, place: _Place, *, flicker: bool) -> None:
    """Flames over the lower half of a subject; they lick to the other side every second frame."""
    flame = ImageOps.mirror(sprite("on fire")) if flicker else sprite("on fire")
    for dx in (-0.27, 0.27):
        _draw(frame, flame, _Place(place.x + dx * place.side, place.y + 0.22 * place.side, 0.6 * place.side))


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
            grey = np.asarray(ImageOps.grayscale(image), np.float32)[..., None] / 255
            return _from_array(grey * np.array([215.0, 180.0, 130.0]) + np.array([40.0, 22.0, 8.0]))
        case _:
            raise ValueError(f"unknown style {style!r}; one of {', '.join(STYLES)}")


def _edges(image: Image.Image) -> NDArray[np.float32]:
    """Strength of edges per channel, 0 … 255, none at the border of the frame."""
    edges = np.asarray(image.filter(ImageFilter.FIND_EDGES), np.float32).copy()
    edges[:2] = edges[-2:] = edges[:, :2] = edges[:, -2:] = 0
    return edges


def _from_array(values: NDArray[np.floating]) -> Image.Image:
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))
