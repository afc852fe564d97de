"""What stands before the background of a frame, whether or not the judge has a name for it.

An erased object is seldom replaced by nothing: a smear of other colours may stand where it would have been. The judge calls
it neither the object nor anything else; the renderer knows what the background looks like without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.miniature import world
from workers.miniature.world import Frames

CONTRAST = 48
"""Of 255, in any channel: what a pixel differs by from the drawn background to count as something else."""
AREA = 0.02
"""Share of a frame's pixels above which something stands there. Twelve clips of empty scenes reach 0.009; forty of a single
object 0.026 and more."""


def residue(frames: Frames, backgrounds: Sequence[str]) -> NDArray[np.bool_]:
    """bool (T,): the frames (T, 64, 64, 3) that hold more than their background, of which `backgrounds` has the names."""
    drawn = np.stack([np.asarray(world.background(name), np.int16) for name in backgrounds])
    differs = (np.abs(frames.astype(np.int16) - drawn) > CONTRAST).any(axis=-1)  # (T, H, W)
    found: NDArray[np.bool_] = differs.mean(axis=(1, 2)) > AREA
    return found
