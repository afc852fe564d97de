"""The program behind `clearway evaluate --quality`, and its service side: what is measured, what is not, and why."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from service.evaluation.errors import QualityFailed
from service.evaluation.quality import check_quality, measure_quality, quality_report
from tests.metrics.tiny import save_clip, save_dino
from workers.generation.video import encode_mp4
from workers.quality import NEEDS
from workers.settings import WorkerSettings


def clip(path: Path, *grey: int) -> Path:
    frames = np.stack([np.full((32, 48, 3), value, np.uint8) for value in grey])
    path.write_bytes(encode_mp4(frames, frames_per_second=8, metadata={}))
    return path


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in NEEDS.values():
        for name in needed:
            assert name in WorkerSettings.model_fields
            monkeypatch.delenv(f"CLEARWAY_{name.upper()}", raising=False)


@pytest.mark.usefixtures("nothing_set")
def test_without_weights_flickering_is_measured_and_the_rest_is_named(tmp_path: Path) -> None:
    lacking = check_quality()
    assert set(NEEDS) - set(lacking) == {"temporal_flickering"}
    assert lacking["aesthetic_quality"] == "set CLEARWAY_METRIC_CLIP_L14 and CLEARWAY_METRIC_AESTHETIC_HEAD"
    videos = [clip(tmp_path / "still.mp4", 90, 90, 90), clip(tmp_path / "flash.mp4", 20, 220), clip(tmp_path / "one.mp4", 20)]
    still, flash, one = measure_quality(videos, ["a wall"] * 3)
    assert still["temporal_flickering"] > 0.99 > 0.5 > flash["temporal_flickering"]
    assert one == {}


@pytest.mark.usefixtures("nothing_set")
def test_with_weights_every_metric_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"weight": torch.zeros(1, 24), "bias": torch.tensor([5.0])}, tmp_path / "head.pth")
    monkeypatch.setenv("CLEARWAY_METRIC_DINO", str(save_dino(tmp_path / "dino")))
    for name in ("B32", "L14"):
        monkeypatch.setenv(f"CLEARWAY_METRIC_CLIP_{name}", str(save_clip(tmp_path / "clip")))
    monkeypatch.setenv("CLEARWAY_METRIC_AESTHETIC_HEAD", str(tmp_path / "head.pth"))
    assert check_quality() == {}
    (measured,) = measure_quality([clip(tmp_path / "still.mp4", 90, 90, 90)], ["a parachute"])
    assert set(measured) == set(NEEDS)
    assert measured["subject_consistency"] == measured["background_consistency"] == pytest.approx(1, abs=1e-3)
    assert measured["aesthetic_quality"] == 0.5
    assert -1 <= measured["clipsim"] <= 1


@pytest.mark.usefixtures("nothing_set")
def test_weights_that_are_not_there_are_refused_before_anything_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWAY_METRIC_DINO", "/nowhere")
    with pytest.raises(QualityFailed, match="CLEARWAY_METRIC_DINO is '/nowhere', where nothing is"):
        check_quality()


def test_the_report_has_means_over_the_clips_that_have_a_value() -> None:
    origin: list[dict[str, float]] = [{"clipsim": 0.2, "temporal_flickering": 0.5}, {"clipsim": 0.4}]
    erased: list[dict[str, float]] = [{"clipsim": 0.1, "temporal_flickering": 0.75}, {"clipsim": 0.1}]
    report = quality_report(origin, erased, {"aesthetic_quality": "set it"})
    assert report["metrics"] == {
        "clipsim": {"origin": 0.3, "erased": 0.1},
        "temporal_flickering": {"origin": 0.5, "erased": 0.75},
    }
    assert json.loads(json.dumps(report))["not_measured"] == {"aesthetic_quality": "set it"}
