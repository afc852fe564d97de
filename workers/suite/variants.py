"""What is compared: methods, their modes, ablations, several erasers at once, and the strengths at which each is filmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from erasers.methods.clear_config import ClearConfig

FACTORS = (0.5, 0.75, 1.0, 1.5, 2.0)
"""Times an eraser's own strength: the points of its trade-off curve. A single point flatters."""
FAR = (0.5, 1.0, 2.0, 4.0, 8.0)
"""For methods whose own strength the calibration keeps low, because they move what must stay: how far they would have to go."""


@dataclass(frozen=True)
class Variant:
    name: str
    method: str
    config: Mapping[str, Any] = field(default_factory=dict)
    factors: tuple[float, ...] = FACTORS
    pairs: int | None = None
    """Prompt pairs to train on; None: as many as a training gets here."""
    beside: int = 0
    """How many erasers of other concepts act in the same stack."""

    @property
    def trained_as(self) -> str:
        """The first variant that trains the same erasers."""
        return next(
            other.name
            for other in VARIANTS.values()
            if (other.method, other.config, other.pairs) == (self.method, self.config, self.pairs)
        )


PAPER = asdict(ClearConfig.paper())

VARIANTS: dict[str, Variant] = {
    variant.name: variant
    for variant in (
        Variant("clear", "clear"),
        Variant("clear-contrast", "clear", {"mask": "contrast"}),
        Variant("clear-gated", "clear", {"gate": True}),
        Variant("clear-topk", "clear", {"activation": "batch_topk"}),
        Variant("clear-projection", "clear", {"action": "projection"}, FAR),
        Variant("project", "steering", {"mode": "project"}),
        Variant("project-gated", "steering", {"mode": "project", "gate": True}),
        Variant("shift", "steering", {"mode": "shift"}, FAR),
        Variant("leace", "steering", {"mode": "leace"}, FAR),
        Variant("hirm", "hirm", {}, FAR),
        Variant("hirm-s", "hirm", {"target": "supercategory", "supercategory": "thing"}, FAR),
        Variant("safree", "safree", {}, (0.5, 1.0)),
        Variant("safree-reference", "safree", {"reference": True}, (0.5, 1.0)),
        Variant("negprompt", "negprompt", {}, (1.0,)),
        Variant("clear-paper", "clear", PAPER),
        Variant("clear-reconstruction", "clear", {"alpha_loss": "sae_only"}, (1.0,)),
        *(Variant(f"clear-block-{layer}", "clear", {"layer": layer}, (1.0,)) for layer in range(8)),
        *(Variant(f"clear-pairs-{pairs}", "clear", {}, (1.0,), pairs=pairs) for pairs in (50, 100, 200)),
        *(Variant(f"clear-stack-{size}", "clear", {}, (1.0,), beside=size - 1) for size in (2, 3, 5)),
        *(Variant(f"clear-block-6-stack-{size}", "clear", {"layer": 6}, (1.0,), beside=size - 1) for size in (2, 3, 5)),
        Variant("project-block-3-stack-5", "steering", {"mode": "project", "layer": 3}, (1.0,), beside=4),
        *(Variant(f"project-stack-{size}", "steering", {"mode": "project"}, (1.0,), beside=size - 1) for size in (2, 5)),
    )
}
DEFAULT = ("project", "clear", "shift", "leace", "hirm", "hirm-s", "safree", "negprompt")
