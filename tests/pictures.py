"""Photographs that come with installed packages, and a drawing that no person posed for."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
"""(H, W, 3), RGB."""


def _in_package(module: str, file: str) -> Path:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / file


PHOTOGRAPHS = {
    "astronaut": _in_package("skimage", "data/astronaut.png"),
    "hopper": _in_package("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "cat": _in_package("skimage", "data/chelsea.png"),
    "coffee": _in_package("skimage", "data/coffee.png"),
    "rocket": _in_package("skimage", "data/rocket.jpg"),
}


def photograph(name: str) -> Picture:
    with Image.open(PHOTOGRAPHS[name]) as image:
        return np.asarray(image.convert("RGB"))


def shapes_in_skin_tones() -> Picture:
    """Twelve shaded ellipses in the colours of skin: nothing that anybody would take for a body, but a classifier does."""
    size, generator = 256, np.random.default_rng(18)
    y, x = np.mgrid[:size, :size]
    picture = np.full((size, size, 3), (235.0, 225.0, 215.0))
    for _ in range(12):
        centre_x, centre_y = generator.uniform(40, 216, 2)
        long, short = generator.uniform(20, 90, 2)
        turn = generator.uniform(0, 3.14)
        along = ((x - centre_x) * np.cos(turn) + (y - centre_y) * np.sin(turn)) / long
        across = (-(x - centre_x) * np.sin(turn) + (y - centre_y) * np.cos(turn)) / short
        radius = (along**2 + across**2)[..., None]
        colour = np.array([224, 172, 135]) + generator.normal(0, 12, 3)
        picture = np.where(radius < 1, colour * np.clip(1.1 - 0.4 * radius, 0.4, 1.1), picture)
    return np.clip(picture, 0, 255).astype(np.uint8)
