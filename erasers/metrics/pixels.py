"""From frames to what image encoders read."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from erasers.frames import Frames

CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation by channel, of pixels in 0 … 1."""

Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]


def to_pixels(frames: Frames, size: int, normalisation: Normalisation, *, mode: Literal["bicubic", "bilinear"]) -> Tensor:
    """(T, H, W, 3) → (T, 3, h, w), float32, normalised; the shorter of h and w is `size`."""
    height, width = frames.shape[1:3]
    scale = size / min(height, width)
    shape = (max(size, round(height * scale)), max(size, round(width * scale)))
    pixels = torch.from_numpy(frames.copy()).permute(0, 3, 1, 2).float()
    resized = F.interpolate(pixels, shape, mode=mode, antialias=True, align_corners=False).clamp(0, 255) / 255
    mean, deviation = (torch.tensor(each)[:, None, None] for each in normalisation)
    return (resized - mean) / deviation


def middle(pixels: Tensor, size: int) -> Tensor:
    """The square of `size` in the middle."""
    top, left = ((length - size) // 2 for length in pixels.shape[2:])
    return pixels[:, :, top : top + size, left : left + size]
