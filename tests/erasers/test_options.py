from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from erasers import ClearConfig
from erasers.errors import ConfigError
from erasers.methods.configs import CONFIGS
from erasers.options import from_mapping


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iteration": 10}, "no option 'iteration'; did you mean 'iterations'"),
        ({"zzz": 1}, "there are layer, gamma"),
        ({"mask": "papre"}, "mask must be 'paper' or 'ratio' or 'contrast', got 'papre'"),
        ({"iterations": "400"}, "iterations must be a whole number from 1 to 100,000, got '400'"),
        ({"iterations": 10**12}, "iterations must be a whole number from 1 to 100,000, got 1000000000000"),
        ({"expansion": 100_000}, "expansion must be a whole number from 1 to 64"),
        ({"gamma": 10**400}, "gamma must be a number from 0 to 100 or 'auto'"),
        ({"gamma_step": 1e-6}, "at most 200 strengths are tried"),
        ({"tau_start": 0}, "tau_start must be a number above 0, 100 at most"),
        ({"x" * 5000: 1}, "there are layer"),
        ({"iterations": 4.5}, "whole number"),
        ({"iterations": True}, "whole number"),
        ({"normalise": 1}, "true or false"),
        ({"l1": float("nan")}, "l1 must be a number from 0 to 1,000"),
        ({"gamma": "automatic"}, "gamma must be a number from 0 to 100 or 'auto'"),
        ({"gamma": -1}, "from 0 to 100"),
        ({"layer": -1}, "layer"),
        ({"layer": 2.0}, "a whole number from 0 to 1,023 or null"),
        ({"tau_end": 2.0}, "tau_start"),
        ({"target_l0": 0.0}, "target_l0"),
        ({"activation": "batch_topk", "target_l0": None}, "batch_topk"),
        ({"gate_fpr": 1.0}, "gate_fpr must be below 1"),
        ({"gate_margin": 1.0}, "gate_margin must be below 1"),
        ({"gamma_max": 0.1}, "gamma_step"),
    ],
)
def test_bad_options_are_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(ClearConfig, options)


def test_whole_numbers_serve_as_numbers() -> None:
    assert from_mapping(ClearConfig, {"gamma": 2, "layer": None}).gamma == 2


def test_the_paper_preset_is_the_papers_table_10() -> None:
    paper = ClearConfig.paper()
    assert (paper.mask, paper.alpha_loss, paper.mix, paper.gamma) == ("paper", "con_sae", "hidden", 10)
    assert (paper.lr_alpha, paper.lr_theta, paper.batch_pairs, paper.iterations) == (3e-2, 1e-3, 16, 2500)
    assert (paper.l1, paper.target_l0, paper.expansion * 4096) == (1e-4, None, 131_072)
    assert (paper.tau_start, paper.tau_end) == (1.0, 0.1)


def test_the_default_is_what_the_log_says_won() -> None:
    default = ClearConfig.default()
    assert default == ClearConfig()
    assert (default.mask, default.alpha_loss, default.gamma) == ("ratio", "con_only", "auto")
    assert default.target_l0 is not None
    assert 0.01 <= default.target_l0 <= 0.05


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_number_of_every_config_is_bounded(name: str) -> None:
    """So that no config, however made, keeps a trainer busy without end; and every default is within."""
    config = CONFIGS[name]()
    numbers = [entry.name for entry in fields(config) if _is_number(getattr(config, entry.name), entry.type)]
    assert {"layer", "gamma_max", "gamma_step", "drift_budget"} <= set(numbers)
    for option in numbers:
        for huge in (10**12, -(10**12)):
            with pytest.raises(ConfigError) as refused:
                from_mapping(CONFIGS[name], {option: huge})
            assert refused.value.option == option


def _is_number(default: object, annotation: object) -> bool:
    named = any(kind in str(annotation) for kind in ("int", "float", "Layer", "Gamma"))
    return named or (isinstance(default, int | float) and not isinstance(default, bool))
