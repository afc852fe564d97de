"""HiRM: what the change of the projection is trained for, and what of it is stored."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import erasers
from erasers.eraser import Eraser
from erasers.errors import ArtefactInvalid, ConfigError
from tests.erasers.tiny import CHURCH, PARACHUTE, Text

PAIRS = erasers.pairs.templates(PARACHUTE, 60, 1)
QUICK: dict[str, Any] = {"gamma_step": 2.0, "rank": 8}


def losses(text: Text, **config: Any) -> tuple[Eraser, list[float]]:
    seen: list[float] = []

    def progress(stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        if stage == "fit":
            seen.append(info["loss"])

    return erasers.train(*text, PAIRS, method="hirm", config=QUICK | config, progress=progress), seen


@pytest.mark.parametrize("target", [{}, {"target": "supercategory", "supercategory": "teapot"}])
def test_the_last_states_move_towards_the_target(text: Text, target: dict[str, str]) -> None:
    eraser, course = losses(text, steps=40, step_size=2e-2, **target)
    assert len(course) == 40
    assert course[-1] < 0.9 * course[0]
    assert eraser.config.search["loss"] == round(course[-1], 4)
    assert eraser.layer == 0


def test_towards_a_broader_word_the_prompt_comes_to_read_like_it(umt5: Text) -> None:
    eraser, _ = losses(umt5, steps=60, step_size=5e-2, target="supercategory", supercategory="church")

    def pooled(prompt: str) -> torch.Tensor:
        return umt5.encode([prompt], width=4)[0].mean(0)

    church, before = pooled("church"), pooled("parachute")
    with erasers.attach(umt5.encoder, [eraser]):
        after = pooled("parachute")
    assert (after - church).norm() < 0.7 * (before - church).norm()


def test_what_is_stored_is_low_rank_and_says_what_it_keeps(umt5: Text) -> None:
    full, cut = (losses(umt5, steps=10, rank=rank)[0] for rank in (32, 2))
    assert full.config.search["rank_energy"] == 1.0
    assert 0 < cut.config.search["rank_energy"] < 1
    assert cut.tensors["up"].shape[1] == cut.tensors["down"].shape[1] == 2
    other = {**cut.tensors, "up": cut.tensors["up"][:, :1]}
    with pytest.raises(ArtefactInvalid, match="rank"):
        Eraser.build(cut.config, other)


def test_the_encoder_is_as_it_was(umt5: Text) -> None:
    before = {name: weight.clone() for name, weight in umt5.encoder.state_dict().items()}
    losses(umt5, steps=3)
    assert all(torch.equal(weight, before[name]) for name, weight in umt5.encoder.state_dict().items())
    assert all(weight.grad is None for weight in umt5.encoder.parameters())


def test_it_stacks_with_erasers_of_other_stages(umt5: Text) -> None:
    hirm, _ = losses(umt5, steps=5)
    clear = erasers.train(
        *umt5, erasers.pairs.templates(CHURCH, 60, 1), method="steering", config={"gamma": 1.0, "gamma_step": 2.0, "layer": 0}
    )
    prompts = ["a church and a parachute near a harbour at dawn"]
    outputs = []
    for stack in ([hirm, clear], [clear, hirm]):
        with erasers.attach(umt5.encoder, stack) as handle:
            outputs.append(umt5.encode(prompts))
        assert [use.concept for use in handle.uses] == ["parachute", "church"], "the attention of a block comes before its output"
    assert torch.equal(*outputs)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"target": "supercategory"}, "supercategory must be given"),
        ({"supercategory": "thing"}, "supercategory must be given for that target"),
        ({"rank": 0}, "rank must be a whole number from 1"),
        ({"layer": 4}, "layer must be below 4"),
        ({"gate": True}, "gate must be off: it is for methods that act on a block's output"),
    ],
)
def test_what_makes_no_sense_is_refused(umt5: Text, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        erasers.train(*umt5, PAIRS, method="hirm", config=config)
