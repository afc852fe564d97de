"""The two sizes of the kit: the models people deploy, on a GPU, and tiny ones on the CPU that try the kit itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from workers.pipelines.base import Shape

Family = Literal["wan", "cogvideox"]
FAMILIES: tuple[Family, ...] = ("wan", "cogvideox")
MODEL_IDS: Mapping[Family, str] = {"wan": "Wan-AI/Wan2.2-TI2V-5B-Diffusers", "cogvideox": "THUDM/CogVideoX-2b"}
"""Whose profiles are used: default steps, default sizes."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    tiny: bool
    device: Literal["cuda", "cpu"]
    shapes: Mapping[str, tuple[Family, Shape]]
    """By name; the steps are those that are measured, of the many that the model takes by default."""
    repeats: int
    """How often a short thing is measured, after `repeats // 5` times that do not count."""
    stack_sizes: tuple[int, ...]
    swapped: int
    """Erasers that are loaded one after another."""
    training_pairs: int
    expansion: int
    """d_sae / d_model"""
    search_steps: int
    """Of the stages that measure the search alone."""
    limits_gib: tuple[int, ...]


def _shape(width: int, height: int, num_frames: int, steps: int, guidance_scale: float) -> Shape:
    return Shape(
        width=width, height=height, num_frames=num_frames, num_inference_steps=steps, guidance_scale=guidance_scale
    )


FULL = Scale(
    tiny=False,
    device="cuda",
    shapes={
        "wan-832x480x81": ("wan", _shape(832, 480, 81, 5, 5.0)),
        "wan-1280x704x121": ("wan", _shape(1280, 704, 121, 4, 5.0)),
        "cogvideox-720x480x49": ("cogvideox", _shape(720, 480, 49, 5, 6.0)),
    },
    repeats=20,
    stack_sizes=(0, 1, 8, 64),
    swapped=50,
    training_pairs=2000,
    expansion=32,
    search_steps=100,
    limits_gib=(80, 48, 24),
)
TINY = Scale(
    tiny=True,
    device="cpu",
    shapes={
        "wan-832x480x81": ("wan", _shape(32, 32, 5, 3, 3.0)),
        "wan-1280x704x121": ("wan", _shape(32, 32, 9, 3, 3.0)),
        "cogvideox-720x480x49": ("cogvideox", _shape(32, 32, 9, 3, 3.0)),
    },
    repeats=5,
    stack_sizes=(0, 1, 3),
    swapped=3,
    training_pairs=24,
    expansion=2,
    search_steps=3,
    limits_gib=(80,),
)
