"""Every reading of the CLEAR paper as an option. `ClearConfig()` is what wins on the evaluation; `paper()` is as written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from erasers.activity import Reduction
from erasers.masks import MaskKind, MaskMaximum
from erasers.methods.config import MethodConfig
from erasers.options import require
from erasers.precision import Precision
from erasers.sae import Activation

Action = Literal["mask", "projection"]


@dataclass(frozen=True, kw_only=True)
class ClearConfig(MethodConfig):
    action: Action = "mask"
    """What is taken out of a token: its features that `m_spec` says are the concept's (Eq. 7), or, in the space of features, what
    lies along f⁺ - f⁻ beyond the negatives' mean."""
    mask: MaskKind = "ratio"
    search_mask: MaskKind = "contrast"
    """The mask that L_con is computed with while searching; the eraser gets `mask`."""
    mask_max: MaskMaximum = "max"
    """What Eq. 3 divides by, `paper` mask only: the maximum over features, or their 99.9th percentile."""
    fneg: Reduction = "mean"
    """How an activation is reduced over the tokens of a prompt, for the masks."""
    alpha_loss: Literal["con_only", "con_sae", "sae_only"] = "con_only"
    """What α descends: L_con, L_con + L_SAE as written, or L_SAE alone (the paper's ablation "w/o L_con", Table 5)."""
    mix: Literal["hidden", "outputs"] = "outputs"
    """Gradient of α: through the mixture of hidden states, or through a mixture of every layer's own loss."""
    reconstruct: Literal["positive", "both"] = "both"
    """Prompts that the SAE is trained on: Algorithm 1 names the positives."""
    normalise: bool = True
    """Remove mean and RMS per layer for the shared SAE."""
    activation: Activation = "relu"
    l1: float = 0.1
    """λ; where it starts, if `target_l0` steers it. Not used by batch_topk."""
    target_l0: float | None = 0.02
    """Share of features that fire on a token: λ is steered to it (relu), or it is k / d_sae (batch_topk)."""
    expansion: int = 8
    """d_sae / d_model"""
    iterations: int = 400
    refine_iterations: int = 100
    """More SAE steps at the chosen layer after the search."""
    batch_pairs: int = 8
    precision: Precision = "tf32"
    """Of the training's matrix products: TF32 where a GPU has it, or bfloat16 under autocast; weights are float32 always."""
    lr_theta: float = 1e-3
    lr_alpha: float = 3e-2
    tau_start: float = 1.0
    tau_end: float = 0.1
    compact: bool = True
    """Keep only the features that act."""
    compact_tolerance: float = 0.01
    """What the dropped features may do together, ‖Δh'‖ / mean ‖h‖, on any token seen in training."""
    max_bytes: int = 900_000
    """Size of the compact tensors, for which features are dropped beyond the tolerance if they must be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("expansion", "iterations", "batch_pairs", "max_bytes"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.refine_iterations >= 0, "refine_iterations", self.refine_iterations, "0 or more")
        for name in ("lr_theta", "lr_alpha", "tau_start", "tau_end"):
            require(getattr(self, name) > 0, name, getattr(self, name), "above 0")
        require(self.tau_end <= self.tau_start, "tau_end", self.tau_end, f"tau_start ({self.tau_start}) or less")
        require(self.l1 >= 0, "l1", self.l1, "0 or more")
        require(self.compact_tolerance >= 0, "compact_tolerance", self.compact_tolerance, "0 or more")
        require(self.target_l0 is None or 0 < self.target_l0 <= 1, "target_l0", self.target_l0, "in (0, 1], or null")
        if self.activation == "batch_topk":
            require(self.target_l0 is not None, "target_l0", self.target_l0, "given for batch_topk: it sets k")

    @classmethod
    def default(cls) -> ClearConfig:
        """What did best so far: erasers/LOG.md has the numbers."""
        return cls()

    @classmethod
    def paper(cls) -> ClearConfig:
        """The paper's Table 10 and Algorithm 1, in the readings that README.md lists."""
        return cls(
            mask="paper",
            search_mask="paper",
            alpha_loss="con_sae",
            mix="hidden",
            reconstruct="positive",
            l1=1e-4,
            target_l0=None,
            gamma=10.0,
            expansion=32,
            iterations=2500,
            refine_iterations=0,
            batch_pairs=16,
        )
