"""Clips side by side in one picture."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from workers.miniature.world import SIZE, Frames


def sheet(titles: Sequence[str], clips: Sequence[Frames], *, columns: int = 3, scale: int = 2) -> Image.Image:
    """Clips in columns, each with its title above its first, middle and last frame."""
    side, title = SIZE * scale, 16
    cell = (3 * side + 12, side + title + 6)
    image = Image.new("RGB", (columns * cell[0], -(-len(clips) // columns) * cell[1]), "white")
    draw = ImageDraw.Draw(image)
    for index, (name, frames) in enumerate(zip(titles, clips, strict=True)):
        x, y = index % columns * cell[0], index // columns * cell[1]
        draw.text((x + 2, y + 2), name, fill="black")
        for place, frame in enumerate((0, len(frames) // 2, -1)):
            picture = Image.fromarray(frames[frame]).resize((side, side), Image.Resampling.LANCZOS)
            image.paste(picture, (x + place * (side + 2), y + title))
    return image
