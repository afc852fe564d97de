from __future__ import annotations

import torch

from erasers.normalise import Normalisation
from erasers.sae import SparseAutoencoder, features
from erasers.sparsity import Sparsity


def make(**options: int) -> SparseAutoencoder:
    return SparseAutoencoder(8, 32, generator=torch.Generator().manual_seed(0), **options)


def test_encode_and_decode_by_hand() -> None:
    sae = SparseAutoencoder(2, 2, generator=torch.Generator())
    with torch.no_grad():
        sae.W_enc.copy_(torch.tensor([[1.0, -1.0], [0.0, 2.0]]))
        sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        sae.b_enc.copy_(torch.tensor([0.5, -1.0]))
        sae.b_dec.copy_(torch.tensor([10.0, 20.0]))
    f = sae.encode(torch.tensor([[1.0, 1.0], [-3.0, 0.0]]))
    assert f.tolist() == [[1.5, 0.0], [0.0, 2.0]]
    assert sae.decode(f).tolist() == [[11.5, 20.0], [10.0, 22.0]]


def test_folded_tensors_read_raw_states_as_the_sae_reads_normalised_ones() -> None:
    sae = make()
    h = torch.randn(20, 8, generator=torch.Generator().manual_seed(1)) * 30 + 5
    normalisation = Normalisation(h.mean(0)[None].repeat(3, 1), torch.tensor([1.0, 30.0, 2.0]))
    x = normalisation.layer(1, h)
    tensors = sae.folded(normalisation, 1)
    f = features(tensors, h)
    torch.testing.assert_close(f / 30, sae.encode(x), rtol=1e-4, atol=1e-4)
    restored = normalisation.mean[1] + 30 * sae.decode(sae.encode(x))
    torch.testing.assert_close(f @ tensors["W_dec"] + tensors["b_dec"], restored, rtol=1e-4, atol=1e-3)


def test_batch_topk_keeps_exactly_k_a_token_and_serves_as_jumprelu() -> None:
    sae = make(features_per_token=3)
    x = torch.randn(50, 8, generator=torch.Generator().manual_seed(1))
    f = sae.encode_in_training(x)
    assert int((f > 0).sum()) == 150
    threshold = float(sae.threshold)
    assert threshold == float(f[f > 0].detach().min())
    served = sae.encode(x)
    assert bool(((served == 0) | (served > threshold)).all())
    tensors = sae.folded(Normalisation.identity(1, 8, torch.device("cpu")), 0)
    torch.testing.assert_close(features(tensors, x), served)


def test_it_learns_to_reconstruct_sparse_data_and_stays_unit_norm() -> None:
    generator = torch.Generator().manual_seed(2)
    atoms = torch.nn.functional.normalize(torch.randn(16, 8, generator=generator), dim=1)
    codes = torch.rand(500, 16, generator=generator) * (torch.rand(500, 16, generator=generator) < 0.1) * 5
    x = codes @ atoms
    sae = make()
    optimiser = torch.optim.Adam(sae.parameters(), 1e-2)

    def unexplained() -> float:
        return float(((x - sae.decode(sae.encode(x))).square().sum() / (x - x.mean(0)).square().sum()).detach())

    before = unexplained()
    for _ in range(200):
        f = sae.encode_in_training(x)
        loss = (x - sae.decode(f)).square().sum(1).mean() + 1e-3 * f.sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        sae.normalise_decoder()
    assert before > 0.3
    assert unexplained() < 0.05
    torch.testing.assert_close(sae.W_dec.norm(dim=1), torch.ones(32))


def test_sparsity_moves_lambda_towards_the_target() -> None:
    dense, sparse = torch.ones(10, 100), torch.zeros(10, 100)
    steered = Sparsity(0.1, target_l0=0.05)
    for _ in range(20):
        steered.observe(dense)
    risen = steered.weight
    assert risen > 0.1
    for _ in range(60):
        steered.observe(sparse)
    assert steered.weight < risen
    fixed = Sparsity(0.1, target_l0=None)
    fixed.observe(dense)
    assert fixed.weight == 0.1
