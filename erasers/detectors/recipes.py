"""Detectors by name, for settings: `{"kind": "imagenet", "classes": "church", "top": 5}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from erasers.detectors.base import Recipe
from erasers.detectors.identity import Identity
from erasers.detectors.imagenet import ImageNet
from erasers.detectors.nsfw import Nsfw
from erasers.detectors.nudenet import NudeNet
from erasers.errors import ConfigError
from erasers.options import from_mapping, near_misses

KINDS: dict[str, type[Recipe]] = {"nsfw": Nsfw, "nudenet": NudeNet, "identity": Identity, "imagenet": ImageNet}


def kind_of(recipe: Recipe) -> str:
    """What `parse` knows it by."""
    return next(kind for kind, made in KINDS.items() if type(recipe) is made)


def parse(options: Mapping[str, Any]) -> Recipe:
    """The recipe that `kind` and the other options describe. Raises `ConfigError`; installed or not is `Recipe.check`."""
    kind = options.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        hint = near_misses(str(kind), KINDS, 1) or f"there are {', '.join(KINDS)}"
        raise ConfigError(f"no kind of detector is called {kind!r}; {hint}")
    return from_mapping(KINDS[kind], {name: value for name, value in options.items() if name != "kind"})
