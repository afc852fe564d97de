"""Detectors: whether a concept can be seen in frames. Nothing is loaded, and no package needed, before `Recipe.load`."""

from __future__ import annotations

from erasers.detectors.base import FrameDetector, Recipe, shown
from erasers.detectors.recipes import KINDS, kind_of, parse

__all__ = ["KINDS", "FrameDetector", "Recipe", "kind_of", "parse", "shown"]
