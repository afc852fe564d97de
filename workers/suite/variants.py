"""What is compared: methods, their modes, and the strengths at which each is filmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Times an eraser's own strength: the points of its trade-off curve. A single point flatters."""


@dataclass(frozen=True)
class Variant:
    name: str
    method: str
    config: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[float, ...] = FACTORS


VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("clear", "clear"),
        Variant("clear-contrast", "clear", {"mask": "contrast"}),
        Variant("clear-gated", "clear", {"gate": True}),
        Variant("clear-topk", "clear", {"activation": "batch_topk"}),
        Variant("project", "steering", {"mode": "project"}),
        Variant("shift", "steering", {"mode": "shift"}),
        Variant("leace", "steering", {"mode": "leace"}),
        Variant("hirm", "hirm", {}, (0.5, 1.0, 2.0)),
        Variant("hirm-s", "hirm", {"target": "supercategory", "supercategory": "thing"}, (0.5, 1.0, 2.0)),
        Variant("safree", "safree", {}, (0.5, 1.0)),
        Variant("safree-reference", "safree", {"reference": True}, (0.5, 1.0)),
        Variant("negprompt", "negprompt", {}, (1.0,)),
    )
}
DEFAULT = ("clear", "project", "shift", "leace", "hirm", "hirm-s", "safree", "negprompt")
