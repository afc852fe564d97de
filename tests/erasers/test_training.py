"""`erasers.train` as a whole."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import erasers
from erasers import encoders
from erasers.artefact import digest
from erasers.errors import CheckpointError, ConfigError
from erasers.methods.config import MethodConfig
from erasers.pairs import templates
from erasers.strength import Point, choose, grid
from tests.erasers.tiny import PARACHUTE, TINY_CLEAR, Text

PAIRS = templates(PARACHUTE, 80, 1)
KEEP = ("a teapot near a vineyard", "a church beside a frozen lake")


class Killed(Exception):
    pass


def test_a_probe_sees_the_concept_before_and_not_after(umt5: Text) -> None:
    """On pairs that neither the eraser nor the probe was fitted on. One layer, enough data for a probe in 32 dimensions."""
    config = TINY_CLEAR | {"gamma_level": -0.5, "drift_budget": 1.0}
    eraser = erasers.train(*umt5, templates(PARACHUTE, 300, 2), method="clear", config=config, keep_prompts=KEEP)
    report = eraser.config.evaluation
    assert report["detected_before"] > 0.7
    assert report["probe_error_before"] < 0.3
    assert report["detected_after"] < 0.2
    assert report["probe_error_after"] > 0.4
    assert report["change_positive"] > report["drift_keep"]
    again = erasers.evaluate_embeddings(*umt5, eraser, templates(PARACHUTE, 300, 3), keep_prompts=KEEP)
    assert again["detected_before"] > again["detected_after"] + 0.5
    off = erasers.evaluate_embeddings(*umt5, eraser, templates(PARACHUTE, 300, 3), strength=0.0)
    assert off["detected_before"] == off["detected_after"]
    assert off["change_positive"] == off["drift_negative"] == 0


def test_known_identity_replaces_reading_the_weights(umt5: Text) -> None:
    identity = encoders.identity(*umt5)
    config = {"gamma_step": 4.0}
    trained, spared, other = (
        erasers.train(*umt5, PAIRS, method="steering", config=config, identity=known)
        for known in (None, identity, replace(identity, weights_sha256="0" * 64))
    )
    assert spared.digest == trained.digest
    assert other.config.encoder.weights_sha256 == "0" * 64


def test_the_artefact_tells_the_whole_story(umt5: Text, tmp_path: Path) -> None:
    stages: list[str] = []

    def progress(stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        assert 0 <= step <= total
        if stage not in stages:
            stages.append(stage)
        if stage == "search":
            assert sum(info["p"]) == pytest.approx(1, abs=1e-2)

    eraser = erasers.train(*umt5, PAIRS, method="clear", config=TINY_CLEAR, keep_prompts=KEEP, progress=progress, seed=3)
    assert stages == ["encode", "search", "refine", "calibrate", "evaluate"]
    config = eraser.config
    assert config.concept == "parachute"
    assert config.seed == 3
    assert config.recipe == asdict(erasers.ClearConfig(**TINY_CLEAR))
    assert config.data["pairs_sha256"] == PAIRS.digest()
    assert config.data["train"] + config.data["calibrate"] + config.data["test"] == len(PAIRS)
    assert config.search["layer"] == config.layer == eraser.layer
    assert len(config.search["scan_l_con"]) == len(config.search["probe_error"]) == config.encoder.layers
    assert [point["gamma"] for point in config.calibration["curve"]] == grid(erasers.ClearConfig(**TINY_CLEAR))
    assert config.strength == config.calibration["gamma"] >= config.minimum_strength > 0
    assert config.compact["change_max"] >= config.compact["change_p999"] >= 0
    assert config.compact["kept"] == eraser.tensors["b_enc"].shape[0] < config.compact["d_sae"]
    assert digest(eraser.save(tmp_path)) == eraser.digest


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(umt5: Text) -> None:
    config = TINY_CLEAR | {"iterations": 20}
    one, two, other = (erasers.train(*umt5, PAIRS, method="clear", config=config, seed=seed).digest for seed in (0, 0, 1))
    assert one == two
    assert one != other


@pytest.mark.parametrize("activation", ["relu", "batch_topk"])
@pytest.mark.parametrize("killed_at", [1, 33, 68])
def test_a_killed_training_goes_on_to_the_same_result(umt5: Text, tmp_path: Path, killed_at: int, activation: str) -> None:
    config = TINY_CLEAR | {"activation": activation}
    unbroken = erasers.train(*umt5, PAIRS, method="clear", config=config)
    steps: list[int] = []

    def progress(stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        if stage in ("search", "refine"):
            steps.append(step)
            if step == killed_at and len(steps) == killed_at:
                raise Killed

    def train() -> erasers.Eraser:
        return erasers.train(
            *umt5, PAIRS, method="clear", config=config, progress=progress, checkpoint_dir=tmp_path, checkpoint_every=10
        )

    with pytest.raises(Killed):
        train()
    resumed = train()
    assert steps[killed_at] == killed_at // 10 * 10 + 1, "it went on from the last checkpoint"
    assert resumed.digest == unbroken.digest


def test_a_checkpoint_of_another_training_is_refused(umt5: Text, tmp_path: Path) -> None:
    erasers.train(*umt5, PAIRS, method="clear", config=TINY_CLEAR, checkpoint_dir=tmp_path, checkpoint_every=10)
    with pytest.raises(CheckpointError, match="of another training"):
        erasers.train(*umt5, PAIRS, method="clear", config=TINY_CLEAR, checkpoint_dir=tmp_path, seed=1)
    (tmp_path / "training.safetensors").write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="delete it"):
        erasers.train(*umt5, PAIRS, method="clear", config=TINY_CLEAR, checkpoint_dir=tmp_path)


def test_training_leaves_the_encoder_as_it_was(text: Text) -> None:
    before = {name: weight.clone() for name, weight in text.encoder.state_dict().items()}
    text.encoder.train()
    erasers.train(*text, PAIRS, method="steering", config={"gamma_step": 4.0})
    assert text.encoder.training
    text.encoder.eval()
    assert all(torch.equal(weight, before[name]) for name, weight in text.encoder.state_dict().items())


def test_a_gate_is_fitted_on_what_is_stored(umt5: Text) -> None:
    eraser = erasers.train(
        *umt5, PAIRS, method="clear", config=TINY_CLEAR | {"gate": True, "gate_fpr": 0.05, "gamma": 2.0}, keep_prompts=KEEP
    )
    assert eraser.config.gate is not None
    report = eraser.config.evaluation
    assert report["drift_keep"] == 0, "keep prompts pass bit for bit"
    assert report["change_positive"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "claer"}, "did you mean 'clear'"),
        ({"method": "clear", "config": {"iteratoins": 3}}, "did you mean 'iterations'"),
        ({"config": 3}, "a mapping of its options"),
        ({"config": {"layer": 4}}, "layer must be below 4"),
        ({"method": "steering", "config": {"layer": 4}}, "layer must be below 4"),
        ({"method": "steering", "config": {"mode": "push"}}, "mode must be 'project' or 'shift'"),
    ],
)
def test_what_cannot_be_trained_is_refused(umt5: Text, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        erasers.train(*umt5, PAIRS, **options)


CURVE = [Point(0.5, 0.6, 0.7, 0.01), Point(1.0, 0.1, 0.2, 0.02), Point(1.5, -0.1, 0.1, 0.04), Point(2.0, -0.2, 0.0, 0.08)]


@pytest.mark.parametrize(
    ("options", "gamma", "minimum", "reached"),
    [
        ({"drift_budget": 0.1}, 1.875, 1.5, True),  # 1.5 reaches the negatives' level, times the margin
        ({"drift_budget": 0.1, "gamma_margin": 1.0}, 1.5, 1.5, True),
        ({"drift_budget": 0.1, "gamma_margin": 3.0}, 2.0, 1.5, True),  # the margin stops at the budget
        ({"drift_budget": 0.1, "gamma_level": 0.2, "gamma_margin": 1.0}, 1.0, 1.0, True),
        ({"drift_budget": 0.03}, 1.0, 1.0, False),  # the lowest within the budget
        ({"drift_budget": 0.001}, 0.5, 0.5, False),  # nothing is: the gentlest
        ({"gamma": 10.0}, 10.0, 1.5, False),  # the operator's choice; less would do
        ({"gamma": 1.0}, 1.0, 1.0, False),  # less than that is not the operator's choice
    ],
)
def test_the_strength_is_chosen_from_the_curve(options: dict[str, Any], gamma: float, minimum: float, reached: bool) -> None:
    chosen = choose(CURVE, MethodConfig(**options))
    assert (chosen.gamma, chosen.minimum, chosen.reached) == (gamma, minimum, reached)


def test_a_fixed_strength_is_on_the_grid() -> None:
    assert grid(MethodConfig(gamma=1.3, gamma_max=2.0, gamma_step=0.5)) == [0.5, 1.0, 1.3, 1.5, 2.0]


@pytest.mark.parametrize("seed", [-1, 2**32, 2**32 + 7])
def test_a_seed_of_more_than_32_bits_is_refused(umt5: Text, seed: int) -> None:
    with pytest.raises(ConfigError, match="seed must be from 0 to 4294967295"):
        erasers.train(*umt5, PAIRS, method="steering", seed=seed)
