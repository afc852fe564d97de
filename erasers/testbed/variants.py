"""What is compared: methods and their modes, and one change at a time to CLEAR's default recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

PAIRS = 160
FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Times an eraser's own strength: the points of its trade-off curve."""
BRACKET = (0.5, 1.0, 2.0)
MIDDLE = 3
"""A block in the middle of six."""


@dataclass(frozen=True)
class Variant:
    name: str
    method: str
    config: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[float, ...] = FACTORS
    pairs: int = PAIRS
    synonyms: bool = True
    """The pairs use every name that training may see, or the concept's first alone."""
    neighbours: Literal["unknown", "kept", "negatives"] = "unknown"
    """Training is not told of the subject's `keep`, is given prompts that show them, or has them in half of its negatives."""
    broader: bool = False
    """The subject's broader word goes into the config, as HiRM's supercategory."""


def _searched(name: str, config: Mapping[str, Any]) -> Variant:
    return Variant(f"clear-{name}", "clear", config, BRACKET)


def _fixed(name: str, config: Mapping[str, Any] | None = None, **recipe: Any) -> Variant:
    """What is not about the search is compared at one block, with `clear-block-3`: the search would only add its noise."""
    return Variant(f"clear-{name}", "clear", {"layer": MIDDLE, **(config or {})}, BRACKET, **recipe)


def _at_each_block(method: str, config: Mapping[str, Any]) -> list[Variant]:
    name = config.get("mode", method)
    return [Variant(f"{name}-block-{layer}", method, {**config, "layer": layer}, BRACKET) for layer in range(6)]


METHODS = (
    Variant("clear", "clear"),
    Variant("project", "steering", {"mode": "project"}),
    Variant("shift", "steering", {"mode": "shift"}),
    Variant("leace", "steering", {"mode": "leace"}),
    Variant("hirm", "hirm", {}, BRACKET),
    Variant("hirm-s", "hirm", {"target": "supercategory"}, BRACKET, broader=True),
    Variant("safree", "safree", {}, (0.5, 1.0)),
)
"""Every method that acts on an encoder. `negprompt` does not: what it does, only a denoiser shows."""

AS_WRITTEN = {
    "mask": "paper",
    "search_mask": "paper",
    "alpha_loss": "con_sae",
    "mix": "hidden",
    "reconstruct": "positive",
    "l1": 1e-4,
    "target_l0": None,
}
"""Every reading of `ClearConfig.paper()`; γ, width and number of iterations stay the default's."""

ABLATIONS = (
    _searched("search-con-sae", {"alpha_loss": "con_sae"}),
    _searched("search-ratio", {"search_mask": "ratio"}),
    _searched("search-paper", {"search_mask": "paper"}),
    _searched("search-hidden", {"mix": "hidden"}),
    _searched("as-written", AS_WRITTEN),
    _fixed("mask-paper", {"mask": "paper"}),
    _fixed("mask-contrast", {"mask": "contrast"}),
    _fixed("fneg-max", {"fneg": "max"}),
    _fixed("topk", {"activation": "batch_topk"}),
    _fixed("projection", {"action": "projection"}),
    _fixed("gated", {"gate": True}),
    Variant("project-gated", "steering", {"mode": "project", "gate": True}, BRACKET),
    _fixed("gamma-3", {"gamma": 3.0}),
    _fixed("gamma-10", {"gamma": 10.0}),
    _fixed("pairs-40", pairs=40),
    _fixed("pairs-320", pairs=320),
    _fixed("no-synonyms", synonyms=False),
    _fixed("keep", neighbours="kept"),
    _fixed("keep-negatives", neighbours="negatives"),
)

BLOCKS = (*_at_each_block("clear", {}), *_at_each_block("steering", {"mode": "project"}))
"""Every block by hand, which is what a search has to find."""

VARIANTS: dict[str, Variant] = {variant.name: variant for variant in (*METHODS, *ABLATIONS, *BLOCKS)}
GROUPS: dict[str, tuple[str, ...]] = {
    "methods": tuple(variant.name for variant in METHODS),
    "ablations": tuple(variant.name for variant in ABLATIONS),
    "blocks": tuple(variant.name for variant in BLOCKS),
}
BESIDE: dict[str, tuple[str, ...]] = {
    "methods": (),
    "ablations": ("clear", "clear-block-3", "project"),
    "blocks": ("clear", "project"),
}
"""What each group is read against."""
