"""What cannot be read from a model's weights: the sizes it was trained for and how it is usually sampled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Profile:
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    frames_per_second: int
    min_size: int
    max_size: int
    max_frames: int
    world: Literal["miniature"] | None = None
    """The small world that the model draws, and no other."""


_WAN = Profile(
    width=832,
    height=480,
    num_frames=81,
    num_inference_steps=50,
    guidance_scale=5.0,
    frames_per_second=16,
    min_size=16,
    max_size=1280,
    max_frames=121,
)
_COGVIDEOX = Profile(
    width=720,
    height=480,
    num_frames=49,
    num_inference_steps=50,
    guidance_scale=6.0,
    frames_per_second=8,
    min_size=16,
    max_size=1360,
    max_frames=81,
)
_MINIATURE = Profile(
    width=64,
    height=64,
    num_frames=9,
    num_inference_steps=10,
    guidance_scale=2.5,
    frames_per_second=8,
    min_size=64,
    max_size=64,
    max_frames=9,
    world="miniature",
)

FAMILIES = {"wan": _WAN, "cogvideox": _COGVIDEOX}
"""For directories that no line below knows."""

MODELS = {
    "miniature": _MINIATURE,
    "miniature-pretrained": _MINIATURE,
    "Wan-AI/Wan2.2-TI2V-5B-Diffusers": Profile(
        width=1280,
        height=704,
        num_frames=121,
        num_inference_steps=50,
        guidance_scale=5.0,
        frames_per_second=24,
        min_size=256,
        max_size=1280,
        max_frames=121,
    ),
    "THUDM/CogVideoX-2b": Profile(
        width=720,
        height=480,
        num_frames=49,
        num_inference_steps=50,
        guidance_scale=6.0,
        frames_per_second=8,
        min_size=480,
        max_size=720,
        max_frames=49,
    ),
}
