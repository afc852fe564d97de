"""CLEAR: Concept-Layer Erasure Alignment fRamework (arXiv 2605.25941), Algorithm 1.

A sparse autoencoder shared by all blocks of the text encoder, and a preference over blocks, trained in turn. The block
that wins is where the concept's features are subtracted. Every open reading of the paper is a field of ClearConfig.

Symbols: h (L, n, d_model) hidden states of n tokens after each block · f (n, d_sae) features · a (L,) logits of the
preference p over layers · θ the SAE's parameters · m_spec (d_sae,) specificity mask.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from erasers import depth, masks
from erasers.activity import chunks
from erasers.compact import compact, measured_change
from erasers.methods.base import BlockMethod, Edit, Fitted, Tensors, TrainingSet
from erasers.methods.clear_batches import Batch, Batches
from erasers.methods.clear_config import ClearConfig
from erasers.methods.clear_report import mean_activity, search_report
from erasers.normalise import Normalisation
from erasers.precision import matmul_precision
from erasers.sae import SparseAutoencoder, features
from erasers.sparsity import Sparsity

MOMENTUM = 0.9
"""Of the moving averages of f⁺ and f⁻ that masks are made of while training."""
POINTS = 100
"""Of the trajectory of p that are kept."""


class Search:
    """Algorithm 1, one step at a time. Its state can be saved and loaded between any two steps."""

    def __init__(
        self, batches: Batches, config: ClearConfig, *, d_model: int, layers: int, seed: int, device: torch.device
    ) -> None:
        self.config, self.layers, self.batches = config, layers, batches
        self.generator = torch.Generator().manual_seed(seed)
        d_sae = config.expansion * d_model
        k = max(1, round((config.target_l0 or 0) * d_sae)) if config.activation == "batch_topk" else None
        self.sae = SparseAutoencoder(d_model, d_sae, generator=self.generator, features_per_token=k).to(device)
        self.a = torch.zeros(layers, device=device, requires_grad=True)  # Alg. 1, line 1
        self.theta_optimiser = torch.optim.Adam(self.sae.parameters(), config.lr_theta, fused=True)
        self.a_optimiser = torch.optim.Adam([self.a], config.lr_alpha)
        self.sparsity = Sparsity(0.0 if k else config.l1, None if k else config.target_l0)
        self.f_mean = torch.zeros(2, layers, d_sae, device=device)  # moving averages: positive, negative
        self.trajectory: list[dict[str, Any]] = []
        self.t = 0

    @property
    def layer(self) -> int:
        return int(self.a.argmax()) if self.config.layer is None else self.config.layer

    @property
    def steps(self) -> int:
        return self.config.iterations + self.config.refine_iterations

    def step(self) -> dict[str, float]:
        """One pass of the loop; after `iterations` of them the layer is settled and only the SAE goes on."""
        config, batch = self.config, self.batches.draw(self.generator)
        searching = self.t < config.iterations and config.layer is None
        tau = depth.temperature(min(self.t, config.iterations - 1), config.iterations, start=config.tau_start, end=config.tau_end)
        if searching:
            noise = depth.gumbel_noise(self.layers, self.generator).to(self.a.device)
            p = depth.sample(self.a, tau, noise)  # line 6
            k = int(p.argmax())
            loss = self._learn_features(batch, k)  # lines 8 to 12
            depth_loss = self._learn_depth(batch, p, k)  # lines 13 to 15
            info = {"loss": loss, "depth_loss": depth_loss, "tau": tau}
        else:
            info = {"loss": self._learn_features(batch, self.layer)}
        self.t += 1
        if searching and (self.t % max(1, config.iterations // POINTS) == 0 or self.t == config.iterations):
            self.trajectory.append({"step": self.t, "tau": round(tau, 4), "p": depth.preference(self.a, tau)})
        return info | {"l0": self.sparsity.l0, "l1": self.sparsity.weight}

    def _learn_features(self, batch: Batch, k: int) -> float:
        """Step 1, p fixed: it is one-hot, so that the mixture of hidden states is h_k."""
        x = batch.positive[k] if self.config.reconstruct == "positive" else torch.cat([batch.positive[k], batch.negative[k]])
        f = self.sae.encode_in_training(x)  # Eq. 2
        loss = self._sae_loss(x, f)
        self.theta_optimiser.zero_grad()
        loss.backward()
        self.theta_optimiser.step()
        self.sae.normalise_decoder()
        self.sparsity.observe(f.detach())
        return float(loss.detach())

    def _sae_loss(self, x: Tensor, f: Tensor) -> Tensor:
        """Eq. 5: squared error of a token, summed over dimensions, + λ ‖f‖₁; both averaged over tokens."""
        return (x - self.sae.decode(f)).square().sum(1).mean() + self.sparsity.weight * f.sum(1).mean()

    def _learn_depth(self, batch: Batch, p: Tensor, k: int) -> float:
        """Step 2, θ fixed. With `hidden`, p is reached through the mixture that the SAE reads; with `outputs`, it weighs
        each layer's own loss, which costs L passes and has far less variance."""
        self.sae.requires_grad_(False)
        if self.config.mix == "hidden":
            self._encode_and_track(batch, k)
            x = torch.einsum("l,lnd->nd", p, batch.positive)  # Σ p_l h_l: the values of h_k, the gradients of all
            loss = self._depth_loss(x, self.sae.encode(x), k)
        else:
            f = [self._encode_and_track(batch, layer) for layer in range(self.layers)]
            loss = p @ torch.stack([self._depth_loss(batch.positive[layer], f[layer], layer) for layer in range(self.layers)])
        self.a_optimiser.zero_grad()
        loss.backward()
        self.a_optimiser.step()
        self.sae.requires_grad_(True)
        return float(loss.detach())

    def _depth_loss(self, x: Tensor, f: Tensor, layer: int) -> Tensor:
        if self.config.alpha_loss == "sae_only":
            return self._sae_loss(x, f)
        loss = masks.separation(f, self._m_spec(*self.f_mean[:, layer]))  # Eq. 6
        return loss + self._sae_loss(x, f) if self.config.alpha_loss == "con_sae" else loss

    @torch.no_grad()
    def _encode_and_track(self, batch: Batch, layer: int) -> Tensor:
        """f of the positives, once this layer's averages have seen it and the negatives'."""
        sides = [self.sae.encode(x[layer]) for x in batch.sides]
        now = torch.stack([batch.reduce(f, side) for side, f in enumerate(sides)])
        seen = self.f_mean[:, layer].any()
        self.f_mean[:, layer] = torch.where(seen, torch.lerp(now, self.f_mean[:, layer], MOMENTUM), now)
        return sides[0]

    def _m_spec(self, f_pos: Tensor, f_neg: Tensor) -> Tensor:
        return masks.specificity(self.config.search_mask, f_pos, f_neg, self.config.mask_max)  # Eq. 3 and 4

    def state(self) -> dict[str, Any]:
        return {
            "t": self.t,
            "sae": self.sae.state_dict(),
            "a": self.a.detach(),
            "theta_optimiser": self.theta_optimiser.state_dict(),
            "a_optimiser": self.a_optimiser.state_dict(),
            "sparsity": [self.sparsity.weight, self.sparsity.l0],
            "f_mean": self.f_mean,
            "trajectory": self.trajectory,
            "generator": self.generator.get_state(),
        }

    def resume(self, state: dict[str, Any]) -> None:
        self.t, self.trajectory = state["t"], state["trajectory"]
        self.sae.load_state_dict(state["sae"])
        self.a.data.copy_(state["a"])
        self.theta_optimiser.load_state_dict(state["theta_optimiser"])
        self.a_optimiser.load_state_dict(state["a_optimiser"])
        self.sparsity.weight, self.sparsity.l0 = state["sparsity"]
        self.f_mean.copy_(state["f_mean"])
        self.generator.set_state(state["generator"].cpu())


class Clear(BlockMethod[ClearConfig]):
    name = "clear"
    config_type = ClearConfig

    def fit(self, data: TrainingSet, config: ClearConfig) -> Fitted:
        cache = data.cache
        if config.normalise:
            normalisation = Normalisation.of(cache, torch.cat([data.positive, data.negative]))
        else:
            normalisation = Normalisation.identity(cache.layers, cache.d_model, cache.device)
        batches = Batches(data, normalisation, config)
        search = Search(batches, config, d_model=cache.d_model, layers=cache.layers, seed=data.seed, device=cache.device)
        _run(search, data)
        layer = search.layer  # line 18
        tensors = search.sae.folded(normalisation, layer)
        f_pos, f_neg = (mean_activity(tensors, data, layer, rows, config) for rows in (data.positive, data.negative))
        parameters: dict[str, Any] = {"activation": "jumprelu" if "threshold" in tensors else "relu"}
        m_spec = masks.specificity(config.mask, f_pos, f_neg, config.mask_max)  # exact, Eq. 3 and 4
        if config.action == "projection":
            tensors, offset = projection(tensors, f_pos, f_neg)
            parameters |= {"action": "projection", "offset": offset}
        else:
            tensors["m_spec"] = m_spec
        return Fitted(
            layer=layer,
            tensors=tensors,
            parameters=parameters,
            mask={"kind": config.mask} | masks.statistics(m_spec, f_pos, f_neg),
            search=search_report(search, data, normalisation),
        )

    def edit(self, tensors: Tensors, parameters: Mapping[str, Any], h: Tensor) -> Edit:
        """v = W_dec (f ⊙ m_spec); the score of a token is Σ_i m_i f_i, in units of h. Of a projection v = (u·f - u·f⁻)₊ W_dec u,
        and the score is what the bracket holds."""
        f = features(tensors, h)
        if "reader" in tensors:
            excess = f @ tensors["reader"] - parameters["offset"]
            return Edit(v=torch.relu(excess)[:, None] * tensors["direction"], score=excess)
        specific = f * tensors["m_spec"]
        return Edit(v=specific @ tensors["W_dec"], score=specific.sum(1))  # Eq. 7

    def compact(
        self, fitted: Fitted, data: TrainingSet, gamma: float, config: ClearConfig
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        if not config.compact:
            return fitted.tensors, {}
        rows = torch.cat([data.positive, data.negative, data.keep])
        seen = (chunk.h for chunk in chunks(data.cache, fitted.layer, rows))
        stored, report = compact(
            fitted.tensors,
            seen,
            length=_length(fitted.tensors),
            gamma=gamma,
            tolerance=config.compact_tolerance,
            max_bytes=config.max_bytes,
        )
        everything = (chunk.h for chunk in chunks(data.cache, fitted.layer, torch.arange(len(data.cache.prompts))))
        full, served = (self._removed(tensors, fitted.parameters) for tensors in (fitted.tensors, stored))
        return stored, report | measured_change(full, served, everything, gamma)

    def _removed(self, tensors: Tensors, parameters: Mapping[str, Any]) -> Callable[[Tensor], Tensor]:
        served = {name: tensor.float() for name, tensor in tensors.items()}
        return lambda h: self.edit(served, parameters, h).v


def projection(tensors: dict[str, Tensor], f_pos: Tensor, f_neg: Tensor) -> tuple[dict[str, Tensor], float]:
    """`reader` u, the unit of f⁺ - f⁻; `direction` W_dec u; and u·f⁻. b_dec cancels: what is taken out is a difference."""
    reader = torch.nn.functional.normalize(f_pos - f_neg, dim=0)
    kept = {name: tensor for name, tensor in tensors.items() if name not in ("W_dec", "b_dec")}
    return kept | {"reader": reader, "direction": reader @ tensors["W_dec"]}, float(reader @ f_neg)


def _length(tensors: Tensors) -> Tensor:
    """(d_sae,): how much of h one unit of each feature takes along, at γ = 1."""
    if "reader" in tensors:
        along: Tensor = tensors["direction"].norm()
        return tensors["reader"].abs() * along
    lengths: Tensor = tensors["W_dec"].norm(dim=1)
    return tensors["m_spec"] * lengths


def _run(search: Search, data: TrainingSet) -> None:
    if data.checkpoint is not None and (state := data.checkpoint.load(data.cache.device)) is not None:
        search.resume(state)
    while search.t < search.steps:
        with matmul_precision(search.config.precision, data.cache.device):
            info = search.step()
        if data.checkpoint is not None and search.t % data.checkpoint.every == 0:
            data.checkpoint.save(search.state())
        p = search.trajectory[-1]["p"] if search.trajectory else [round(1 / search.layers, 4)] * search.layers
        stage = "search" if search.t <= search.config.iterations and search.config.layer is None else "refine"
        data.progress(stage, search.t, search.steps, info | {"p": p, "layer": search.layer})
