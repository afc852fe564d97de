"""Where the miniature's committed weights lie. Importing this module loads nothing."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent

MINIATURES = ("miniature", "miniature-pretrained")
"""The models that film the miniature's world, which its classifier can judge."""

MODEL_DIR = _HERE / "model"
"""A diffusers `WanPipeline`, as `save_pretrained` writes it."""

CLASSIFIER_FILE = _HERE / "classifier.safetensors"

ERASERS_DIR = _HERE / "erasers"
"""One directory per shipped eraser, named after its concept with `_` for spaces."""


def eraser_directory(concept: str) -> Path:
    return ERASERS_DIR / concept.replace(" ", "_")
