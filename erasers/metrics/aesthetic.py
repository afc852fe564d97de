"""LAION's aesthetic predictor: a linear head on CLIP ViT-L/14 (github.com/LAION-AI/aesthetic-predictor)."""

from __future__ import annotations

from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from erasers.errors import WeightsError


def load_head(path: Path, dimensions: int) -> nn.Linear:
    """`sa_0_4_vit_l_14_linear.pth` as LAION publishes it, or the same tensors as .safetensors; for features (…, dimensions)."""
    try:
        # A .pth is a pickle: `weights_only` lets it build tensors and nothing else.
        tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
        head = nn.Linear(dimensions, 1)
        head.load_state_dict(tensors)
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is no linear head for features of {dimensions} numbers: {error}") from error
    return head.eval()


@torch.inference_mode()
def aesthetic_quality(features: Tensor, head: nn.Linear) -> float:
    """VBench's: mean over frames of the head's score, over 10. `features` (T, d) are CLIP's of the frames, of length 1."""
    return float(head(features).mean() / 10)
