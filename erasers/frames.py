"""Frames as detectors and metrics take them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erasers.errors import FramesError

Frames = NDArray[np.uint8]
"""(T, H, W, 3), RGB."""


def check_frames(frames: Frames, *, at_least: int = 1) -> None:
    """Raise `FramesError` unless the array is `Frames`, with so many of them."""
    if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
        found = f"{frames.dtype} {frames.shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise FramesError(f"frames are an array of uint8 of shape (T, H, W, 3), RGB; got {found}")
    if len(frames) < at_least or 0 in frames.shape:
        raise FramesError(f"at least {at_least} frames that are not empty are needed, got shape {frames.shape}")
