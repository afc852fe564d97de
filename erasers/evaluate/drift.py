"""How far prompts that should not change did change."""

from __future__ import annotations

from torch import Tensor

from erasers.encoding import FlatStates, mean_by_prompt


def drift(before: FlatStates, after: FlatStates) -> Tensor:
    """(prompts,): ‖E' - E‖ / ‖E‖ over all token embeddings E of a prompt, as the denoiser receives them."""
    moved = mean_by_prompt((after.tokens - before.tokens).square().sum(1), before.prompt)
    size = mean_by_prompt(before.tokens.square().sum(1), before.prompt)
    return (moved / size).sqrt()
