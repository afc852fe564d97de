"""The sparse autoencoder, and the plain functions that serve it.

Tensors carry the names and orientation that SAELens uses: `W_enc` (d_model, d_sae), `W_dec` (d_sae, d_model).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from erasers.normalise import Normalisation

THRESHOLD_DECAY = 0.99


class SparseAutoencoder(nn.Module):
    """f = ReLU(x W_enc + b_enc), x̂ = f W_dec + b_dec, with unit-norm rows of W_dec.

    With `features_per_token` only the largest n · features_per_token activations of a batch of n tokens survive
    (BatchTopK); `threshold` follows the smallest survivor, and serves as JumpReLU's.
    """

    threshold: Tensor

    def __init__(self, d_model: int, d_sae: int, *, generator: torch.Generator, features_per_token: int | None = None) -> None:
        super().__init__()
        directions = torch.nn.functional.normalize(torch.randn(d_sae, d_model, generator=generator), dim=1)
        tied_scale = min(1.0, 2 * d_model / d_sae)  # half of the features fire at first: reconstruct, do not overshoot
        self.W_dec = nn.Parameter(directions)
        self.W_enc = nn.Parameter(directions.T.contiguous() * tied_scale)
        self.b_enc = nn.Parameter(torch.zeros(d_sae))
        self.b_dec = nn.Parameter(torch.zeros(d_model))
        self.features_per_token = features_per_token
        self.register_buffer("threshold", torch.zeros(()))

    def encode(self, x: Tensor) -> Tensor:
        """x (n, d_model) → f (n, d_sae), as it will be served."""  # Eq. 2
        f = torch.relu(x @ self.W_enc + self.b_enc)
        return f if self.features_per_token is None else f * (f > self.threshold)

    def encode_in_training(self, x: Tensor) -> Tensor:
        """As `encode`, but BatchTopK chooses over the batch, and moves the threshold."""
        if self.features_per_token is None:
            return self.encode(x)
        f = torch.relu(x @ self.W_enc + self.b_enc)
        kept = min(len(x) * self.features_per_token, f.numel())
        smallest = torch.topk(f.detach().flatten(), kept, sorted=False).values.min()
        unset = self.threshold == 0
        self.threshold.copy_(torch.where(unset, smallest, torch.lerp(smallest, self.threshold, THRESHOLD_DECAY)))
        return f * (f >= smallest)

    def decode(self, f: Tensor) -> Tensor:
        return f @ self.W_dec + self.b_dec

    @torch.no_grad()
    def normalise_decoder(self) -> None:
        """Unit-norm rows: without them a feature could shrink its f, and with it Eq. 3 and the L1 term, for free."""
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True).clamp_min(1e-8))

    @torch.no_grad()
    def folded(self, normalisation: Normalisation, layer: int) -> dict[str, Tensor]:
        """The same autoencoder over the raw h of one layer, with x̂ at h's scale.

        f comes back in h's units (times the layer's RMS), which leaves both matrices as they are: rows of W_dec keep
        their unit norm, and neither leaves the range of float16.
        """
        mean, scale = normalisation.mean[layer], normalisation.scale[layer]
        tensors = {
            "W_enc": self.W_enc,
            "b_enc": self.b_enc * scale - mean @ self.W_enc,
            "W_dec": self.W_dec,
            "b_dec": self.b_dec * scale + mean,
        }
        if self.features_per_token is not None:
            tensors["threshold"] = (self.threshold * scale).expand(len(self.b_enc))
        return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def features(tensors: Mapping[str, Tensor], h: Tensor) -> Tensor:
    """f (n, d_sae) of h (n, d_model) under folded tensors; JumpReLU where they have a threshold."""
    f = torch.relu(torch.addmm(tensors["b_enc"], h, tensors["W_enc"]))
    return f * (f > tensors["threshold"]) if "threshold" in tensors else f
