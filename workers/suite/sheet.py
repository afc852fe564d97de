"""`python -m workers.suite.sheet --suite DIR --concepts …`: what a suite's numbers are of, for the eye.

One picture a concept, `sheets/<concept>.png`: a row a method at its own strength, the middle frames of the same clips in its
columns. Erasers that the suite has not trained yet are trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from workers.detection.detectors import Cell
from workers.miniature.vocabulary import CONCEPTS
from workers.suite.cells import ORIGIN, SHEETS, read
from workers.suite.film import Studio
from workers.suite.variants import DEFAULT, VARIANTS

COLUMNS: Mapping[Cell, int] = {"plain": 2, "synonym": 2, "misspelt": 1, "homoglyph": 1, "others": 2}
SIDE, GAP, NAME, HEAD = 128, 4, 150, 22
"""Pixels: of a frame, between frames, of the methods' names, of the cells'."""

Still = NDArray[np.uint8]


def draw(rows: Mapping[str, Mapping[Cell, Sequence[Still]]], path: Path) -> None:
    """`rows`: by method, by cell."""
    step = SIDE + GAP
    width = NAME + step * max(sum(map(len, cells.values())) for cells in rows.values())
    sheet = Image.new("RGB", (width, HEAD + step * len(rows)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for index, (method, cells) in enumerate(rows.items()):
        x, y = NAME, HEAD + index * step
        pen.text((6, y + SIDE // 2 - 8), method, fill="black", font=font)
        for cell, stills in cells.items():
            if index == 0:
                pen.text((x + 2, 3), cell, fill="black", font=font)
            for still in stills:
                sheet.paste(Image.fromarray(still).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (x, y))
                x += step
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.suite.sheet", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="the directory of a suite")
    parser.add_argument("--concepts", nargs="+", choices=list(CONCEPTS), required=True, metavar="CONCEPT")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(DEFAULT), metavar="VARIANT")
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        suite, _ = read(options.suite)
    except OSError as error:
        parser.error(str(error))
    seeds = {name: int(str(suite[name])) for name in ("seed", "training_seed")}
    studio = Studio(str(suite["model"]), options.suite, **seeds)
    for concept in options.concepts:
        rows = {
            variant: {cell: studio.stills(concept, variant, cell, clips) for cell, clips in COLUMNS.items()}
            for variant in (ORIGIN, *options.variants)
        }
        draw(rows, options.suite / SHEETS / f"{concept.replace(' ', '_')}.png")


if __name__ == "__main__":
    main()
