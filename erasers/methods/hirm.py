"""HiRM: change a low block so that the concept's prompts end elsewhere at the top (arXiv 2602.19631).

Only the output projection of one block's attention is changed, of block 0 unless told otherwise; what it is trained for is the
encoder's last states on the concept's names alone: random directions (HiRM-R) or the states of a broader word (HiRM-S). The
change ΔW is trained whole and stored as its `rank` largest singular parts, so that it acts as an edit of that projection's
output, request by request. Nothing tells it what to keep: that is the method, and what it is compared for.

Symbols: x (n, d_inner) what the projection reads · h (n, d_model) what it makes of it · ΔW (d_model, d_inner) ≈ up downᵀ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders, offload
from erasers.encoding import PromptEncoder, mean_by_prompt
from erasers.methods.base import AttentionMethod, Edit, Fitted, Tensors, TrainingSet
from erasers.methods.hirm_config import HirmConfig
from erasers.methods.steering import along


class Hirm(AttentionMethod[HirmConfig]):
    name = "hirm"
    config_type = HirmConfig

    def fit(self, data: TrainingSet, config: HirmConfig) -> Fitted:
        encoder, layer = data.encoder, config.layer or 0
        projection = encoders.attention_projection(encoder.text_encoder, layer)
        names = data.concept.names
        target = _target(encoder, names, config, data.seed)
        weight = offload.weight_of(encoder.text_encoder, projection)
        change = torch.zeros(weight.shape, device=encoder.device, requires_grad=True)
        optimiser = torch.optim.Adam([change], config.step_size * float(weight.float().square().mean().sqrt()))
        with _changed(projection, change):
            for step in range(1, config.steps + 1):
                states = torch.cat(_last_states(encoder, names))
                loss = (states - target).square().sum(1).mean()  # (1/T) Σ_t ‖h_t - c r_t‖²
                (change.grad,) = torch.autograd.grad(loss, [change])
                optimiser.step()
                data.progress("fit", step, config.steps, {"loss": float(loss.detach()), "layer": layer})
        up, down, kept = _low_rank(change.detach(), config.rank)
        means = [_mean_written(encoder, projection, data, rows) for rows in (data.positive, data.negative)]
        return Fitted(
            layer=layer,
            tensors={"up": up, "down": down, "direction": means[0] - means[1], "mean_negative": means[1]},
            parameters={},
            mask={},
            search={"layer": layer, "manual": True, "loss": round(float(loss.detach()), 4), "rank_energy": round(kept, 4)},
        )

    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor, x: Tensor) -> Edit:
        """v = -ΔW x. The score is how far h lies along mean(h⁺) - mean(h⁻), beyond the negatives' mean; the method itself
        does not look at it."""
        return Edit(v=-(x @ tensors["down"]) @ tensors["up"].T, score=along(tensors, h)[1])


def _target(encoder: PromptEncoder, names: Sequence[str], config: HirmConfig, seed: int) -> Tensor:
    """(N, d_model): where the last states of the names' tokens should go, one after another."""
    with torch.no_grad():
        states = _last_states(encoder, names)
        flat = torch.cat(states)
        if config.target == "random":
            directions = torch.randn(flat.shape, generator=torch.Generator().manual_seed(seed)).to(flat.device)
            length = config.scale * float(flat.norm(dim=1).mean())
            target: Tensor = directions * (length / directions.norm(dim=1, keepdim=True))
            return target
        (broader,) = _last_states(encoder, [config.supercategory])
        return config.scale * torch.cat([_aligned(broader, len(h)) for h in states])


def _aligned(broader: Tensor, length: int) -> Tensor:
    """States of a prompt of another length: end-of-sequence for end-of-sequence, the mean of its words for every word."""
    words = broader[:-1] if len(broader) > 1 else broader
    return torch.cat([words.mean(0, keepdim=True).expand(length - 1, -1), broader[-1:]])


def _last_states(encoder: PromptEncoder, prompts: Sequence[str]) -> list[Tensor]:
    """What the encoder returns for the real tokens of each prompt, (n, d_model), float32."""
    return [batch.final[0][batch.real[0]].float() for prompt in prompts for batch in [encoder.encode([prompt])]]


def _mean_written(encoder: PromptEncoder, projection: nn.Module, data: TrainingSet, rows: Tensor) -> Tensor:
    """(d_model,): the mean over prompts of what the projection writes."""
    written: list[Tensor] = []
    handle = projection.register_forward_hook(lambda module, args, output: written.append(output.detach()))
    sums, count = [], 0
    try:
        for batch in encoder.batches([data.cache.prompts[row] for row in rows.tolist()]):
            h, real = written.pop(), batch.real
            sums.append(mean_by_prompt(h[real].float(), real.nonzero()[:, 0]).sum(0))
            count += len(real)
    finally:
        handle.remove()
    return torch.stack(sums).sum(0) / count


def _low_rank(change: Tensor, rank: int) -> tuple[Tensor, Tensor, float]:
    """up (d_model, r), down (d_inner, r), and the share of ‖ΔW‖² that they keep."""
    u, s, vh = torch.linalg.svd(change, full_matrices=False)
    root = s[:rank].sqrt()
    kept = float(s[:rank].square().sum() / s.square().sum().clamp_min(1e-12))
    return (u[:, :rank] * root).contiguous(), (vh[:rank].T * root).contiguous(), kept


class _changed:
    """W_o + ΔW for the duration of a `with`, with a gradient for ΔW alone."""

    def __init__(self, projection: nn.Module, change: Tensor) -> None:
        self._projection, self._change = projection, change
        self._remove: Callable[[], None] = lambda: None

    def __enter__(self) -> None:
        def add(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + (args[0].float() @ self._change.T).to(output.dtype)

        self._remove = self._projection.register_forward_hook(add).remove

    def __exit__(self, *_: object) -> None:
        self._remove()
