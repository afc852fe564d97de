"""The trade-off as a picture: what is kept over what is left of the concept, one line a method."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from workers.suite.report import Point

WIDTH, HEIGHT, LEFT, BOTTOM, RIGHT, TOP = 720, 480, 60, 50, 190, 20


def draw(found: Sequence[Point]) -> Image.Image:
    """x: the concept's rate relative to the origin's, 0 to 1; y: that of other concepts, from the lowest or .5 up."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    canvas, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    lowest = min(0.5, *(point.kept.value for point in found)) if found else 0.5
    highest = max(1.05, *(point.kept.value for point in found)) if found else 1.05

    def place(erased: float, kept: float) -> tuple[float, float]:
        x = LEFT + min(erased, 1.0) * (WIDTH - LEFT - RIGHT)
        return x, HEIGHT - BOTTOM - (kept - lowest) / (highest - lowest) * (HEIGHT - BOTTOM - TOP)

    for step in range(6):
        x, bottom = place(step / 5, lowest)
        canvas.line([(x, TOP), (x, bottom)], fill="#dddddd")
        canvas.text((x, bottom + 6), f"{step / 5:.0%}", fill="black", font=font, anchor="mt")
        level = lowest + (highest - lowest) * step / 5
        left, y = place(0, level)
        canvas.line([(left, y), (WIDTH - RIGHT, y)], fill="#dddddd")
        canvas.text((left - 6, y), f"{level:.0%}", fill="black", font=font, anchor="rm")
    canvas.text(((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12), "left of the concept", fill="black", font=font, anchor="mm")
    canvas.text((LEFT, 4), "kept of the others", fill="black", font=font)
    variants = list(dict.fromkeys(point.variant for point in found))
    for index, variant in enumerate(variants):
        red, green, blue = colorsys.hsv_to_rgb(index / max(1, len(variants)), 0.85, 0.75)
        colour = (round(255 * red), round(255 * green), round(255 * blue))
        course = sorted((point for point in found if point.variant == variant), key=lambda point: point.factor)
        spots = [place(point.erased.value, point.kept.value) for point in course]
        if len(spots) > 1:
            canvas.line(spots, fill=colour, width=2)
        for point, (x, y) in zip(course, spots, strict=True):
            radius = 5 if point.factor == 1 else 3
            canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        y = TOP + 20 * index
        canvas.rectangle((WIDTH - RIGHT + 20, y, WIDTH - RIGHT + 32, y + 12), fill=colour)
        canvas.text((WIDTH - RIGHT + 40, y), variant, fill="black", font=font)
    return image
