"""Every reading of the CLEAR paper as an option. `ClearConfig()` is what wins on the evaluation; `paper()` is as written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from erasers.choices import Activation, MaskKind, MaskMaximum, Precision, Reduction
from erasers.methods.config import MethodConfig
from erasers.options import Bounds, require

Action = Literal["mask", "projection"]
MAX_ITERATIONS = 100_000
"""40 times the paper's."""
Iterations = Annotated[int, Bounds(1, MAX_ITERATIONS)]
Rate = Annotated[float, Bounds(0, 10, exclusive=True)]
Temperature = Annotated[float, Bounds(0, 100, exclusive=True)]


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
    l1: Annotated[float, Bounds(0, 1000)] = 0.1
    """λ; where it starts, if `target_l0` steers it. Not used by batch_topk."""
    target_l0: Annotated[float, Bounds(0, 1, exclusive=True)] | None = 0.02
    """Share of features that fire on a token: λ is steered to it (relu), or it is k / d_sae (batch_topk)."""
    expansion: Annotated[int, Bounds(1, 64)] = 8
    """d_sae / d_model"""
    iterations: Iterations = 400
    refine_iterations: Annotated[int, Bounds(0, MAX_ITERATIONS)] = 100
    """More SAE steps at the chosen layer after the search."""
    batch_pairs: Annotated[int, Bounds(1, 1024)] = 8
    precision: Precision = "tf32"
    """Of the training's matrix products: TF32 where a GPU has it, or bfloat16 under autocast; weights are float32 always."""
    lr_theta: Rate = 1e-3
    lr_alpha: Rate = 3e-2
    tau_start: Temperature = 1.0
    tau_end: Temperature = 0.1
    compact: bool = True
    """Keep only the features that act."""
    compact_tolerance: Annotated[float, Bounds(0, 1)] = 0.01
    """What the dropped features may do together, ‖Δh'‖ / mean ‖h‖, on any token seen in training."""
    max_bytes: Annotated[int, Bounds(1, 2**28)] = 900_000
    """Size of the compact tensors, for which features are dropped beyond the tolerance if they must be."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.tau_end <= self.tau_start, "tau_end", self.tau_end, f"tau_start ({self.tau_start}) or less")
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
