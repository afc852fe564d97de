"""The contact sheet: one row a prompt, and for each seed the middle frame of origin beside that of the erased clip."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

MAX_ROWS = 60
MAX_SEEDS = 4
CELL_PIXELS = 128
TEXT_PIXELS = 300
GAP_PIXELS = 4

_INK, _PAPER = (20, 20, 20), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    text: str
    stills: Sequence[Path]
    """Origin, erased, origin, erased, …"""


def draw_sheet(rows: Sequence[Row], out: Path, *, heading: str) -> None:
    """Writes a PNG. A long evaluation shows its first rows and seeds only, and the heading says so."""
    shown = [Row(row.text, row.stills[: 2 * MAX_SEEDS]) for row in rows[:MAX_ROWS]]
    if len(shown) < len(rows):
        heading += f"; first {MAX_ROWS} of {len(rows)} prompts"
    columns = max(len(row.stills) for row in shown)
    step = CELL_PIXELS + GAP_PIXELS
    top = 48
    sheet = Image.new("RGB", (TEXT_PIXELS + columns * step, top + len(shown) * step), _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 6), heading, fill=_INK, font=ImageFont.load_default(15))
    small = ImageFont.load_default(13)
    for column in range(columns):
        draw.text((TEXT_PIXELS + column * step + 2, top - 18), "erased" if column % 2 else "origin", fill=_INK, font=small)
    for index, row in enumerate(shown):
        y = top + index * step
        draw.multiline_text((8, y + 8), textwrap.fill(row.text, 40), fill=_INK, font=small)
        for column, still in enumerate(row.stills):
            sheet.paste(_cell(still), (TEXT_PIXELS + column * step, y))
    sheet.save(out)


def _cell(path: Path) -> Image.Image:
    with Image.open(path) as image:
        scale = CELL_PIXELS / max(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        return image.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
