"""Options that are one of a few names. Free of torch, so that a gateway can check a config."""

from __future__ import annotations

from typing import Literal

Padding = Literal["masked", "attended"]
"""How the model's pipeline calls its encoder: with an attention mask (Wan), or without, padded to `max_length` (CogVideoX)."""
Reduction = Literal["mean", "max"]
"""Over the real tokens of a prompt; over prompts it is always the mean."""
MaskKind = Literal["paper", "ratio", "contrast"]
MaskMaximum = Literal["max", "p999"]
Precision = Literal["float32", "tf32", "bfloat16"]
Activation = Literal["relu", "batch_topk"]
