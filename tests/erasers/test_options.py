from __future__ import annotations

from typing import Any

import pytest

from erasers import ClearConfig
from erasers.errors import ConfigError
from erasers.options import from_mapping


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iteration": 10}, "no option 'iteration'; did you mean 'iterations'"),
        ({"zzz": 1}, "it has layer, gamma"),
        ({"mask": "papre"}, "mask must be 'paper' or 'ratio' or 'contrast', got 'papre'"),
        ({"iterations": "400"}, "iterations must be a whole number, got '400'"),
        ({"iterations": 4.5}, "whole number"),
        ({"iterations": True}, "whole number"),
        ({"normalise": 1}, "true or false"),
        ({"l1": float("nan")}, "finite number"),
        ({"gamma": "automatic"}, "gamma must be a finite number or 'auto'"),
        ({"gamma": -1}, "0 or more"),
        ({"layer": -1}, "layer"),
        ({"layer": 2.0}, "a whole number or null"),
        ({"tau_end": 2.0}, "tau_start"),
        ({"target_l0": 0.0}, "target_l0"),
        ({"activation": "batch_topk", "target_l0": None}, "batch_topk"),
        ({"gate_fpr": 1.0}, "between 0 and 1"),
        ({"gate_margin": 1.0}, "0 or more, and below 1"),
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
