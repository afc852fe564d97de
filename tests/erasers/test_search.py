"""Algorithm 1 on planted activations: the concept can be told at one layer only."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from erasers.cache import ActivationCache
from erasers.encoding import PromptEncoder
from erasers.methods.base import TrainingSet
from erasers.methods.clear import Clear
from erasers.methods.clear_config import ClearConfig
from erasers.methods.steering import Steering
from erasers.methods.steering_config import SteeringConfig
from tests.erasers.tiny import PARACHUTE, make_text

LAYERS, D_MODEL, PROMPTS, TOKENS = 5, 24, 80, 6


def planted(layer: int | None, *, scale_of_layer: float = 1.0) -> TrainingSet:
    """Tokens are sparse sums of atoms; on one layer a concept atom is added to one token of each positive prompt."""
    generator = torch.Generator().manual_seed(5)
    atoms = torch.nn.functional.normalize(torch.randn(12, D_MODEL, generator=generator), dim=1)
    concept = torch.nn.functional.normalize(torch.randn(D_MODEL, generator=generator), dim=0)
    count = 2 * PROMPTS * TOKENS
    active = torch.rand(LAYERS, count, 12, generator=generator) * (torch.rand(LAYERS, count, 12, generator=generator) < 0.25)
    states = 4 * active @ atoms + 0.05 * torch.randn(LAYERS, count, D_MODEL, generator=generator)
    if layer is not None:
        states[layer, : PROMPTS * TOKENS : TOKENS] += 6 * concept
    states *= scale_of_layer ** torch.arange(LAYERS)[:, None, None]  # a residual stream that grows with depth
    starts = torch.arange(0, count + 1, TOKENS)
    rows = torch.arange(2 * PROMPTS)
    cache = ActivationCache(
        tuple(map(str, rows.tolist())), starts, states, torch.zeros(2 * PROMPTS, D_MODEL), torch.device("cpu")
    )
    silent: Any = lambda *report: None  # noqa: E731
    return TrainingSet(
        concept=PARACHUTE,
        encoder=PromptEncoder(*make_text("umt5")),  # these methods read the cache alone
        cache=cache,
        positive=rows[:PROMPTS],
        negative=rows[PROMPTS:],
        keep=rows[:0],
        seed=0,
        progress=silent,
        checkpoint=None,
    )


def config(**options: Any) -> ClearConfig:
    return ClearConfig(**({"iterations": 150, "refine_iterations": 30, "expansion": 4, "target_l0": 0.05} | options))


@pytest.mark.parametrize("layer", [0, 3])
def test_the_search_finds_the_planted_layer(layer: int) -> None:
    fitted = Clear().fit(planted(layer, scale_of_layer=1.5), config())
    assert fitted.layer == layer
    assert fitted.search["scan_layer"] == layer
    assert fitted.search["scan_agrees"]
    errors = fitted.search["probe_error"]
    assert errors[layer] < 0.05
    assert min(error for i, error in enumerate(errors) if i != layer) > 0.25
    p = [point["p"] for point in fitted.search["trajectory"]]
    assert max(p[0]) < 0.4
    assert p[-1][layer] > 0.9


def test_the_sae_reconstructs_and_the_mask_takes_the_concept_only() -> None:
    data = planted(2)
    fitted = Clear().fit(data, config(layer=2, iterations=300, target_l0=None, l1=0.05))
    h = data.cache.states[2]
    f = torch.relu(h @ fitted.tensors["W_enc"] + fitted.tensors["b_enc"])
    restored = f @ fitted.tensors["W_dec"] + fitted.tensors["b_dec"]
    assert float((h - restored).square().sum() / (h - h.mean(0)).square().sum()) < 0.3
    assert fitted.search["manual"]
    edit = Clear().edit(fitted.tensors, fitted.parameters, h)
    with_concept = torch.arange(0, PROMPTS * TOKENS, TOKENS)
    without = torch.arange(PROMPTS * TOKENS, len(h))
    assert edit.v[with_concept].norm(dim=1).mean() > 5 * edit.v[without].norm(dim=1).mean()


@pytest.mark.parametrize("alpha_loss", ["con_sae", "sae_only"])
def test_without_normalisation_scale_rules_the_search(alpha_loss: str) -> None:
    """The negative control for `normalise`: on a growing residual stream the reconstruction term picks the smallest block."""
    data = planted(3, scale_of_layer=3.0)
    assert Clear().fit(data, config(alpha_loss=alpha_loss, normalise=False)).layer == 0
    assert Clear().fit(data, config(normalise=True)).layer == 3


def test_steering_takes_the_layer_that_a_probe_reads_best() -> None:
    fitted = Steering().fit(planted(1), SteeringConfig())
    assert fitted.layer == 1


@pytest.mark.parametrize("fneg", ["mean", "max"])
@pytest.mark.parametrize("mask", ["paper", "ratio", "contrast"])
def test_every_reading_trains(mask: Any, fneg: Any) -> None:
    options = {
        "mix": "hidden",
        "search_mask": mask,
        "mask": mask,
        "fneg": fneg,
        "mask_max": "p999",
        "reconstruct": "positive",
        "alpha_loss": "con_sae",
    }
    fitted = Clear().fit(planted(1), config(iterations=5, refine_iterations=0, **options))
    assert fitted.mask["kind"] == mask
    assert all(bool(tensor.isfinite().all()) for tensor in fitted.tensors.values())


def test_batch_topk_trains_to_its_k() -> None:
    data = planted(2)
    fitted = Clear().fit(data, config(activation="batch_topk", layer=2))
    assert fitted.parameters == {"activation": "jumprelu"}
    assert "threshold" in fitted.tensors
    assert fitted.search["l0"] == pytest.approx(0.05, abs=0.02)


def test_precision() -> None:
    """On a CPU TF32 is float32 to the last bit; under autocast the layer is found all the same."""
    data = planted(2)
    full, tf32, half = (
        Clear().fit(data, ClearConfig(precision=precision, iterations=60, refine_iterations=5, expansion=4))
        for precision in ("float32", "tf32", "bfloat16")
    )
    assert all(torch.equal(full.tensors[name], tf32.tensors[name]) for name in full.tensors)
    assert half.layer == full.layer == 2
    assert all(tensor.dtype == torch.float32 for tensor in half.tensors.values())
    assert not torch.equal(full.tensors["W_enc"], half.tensors["W_enc"])
