"""`make demo`, as the newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.integration.running import processes_of

pytestmark = pytest.mark.timeout(1200)


def test_the_demo_shows_the_parachute_go_and_the_dog_stay(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run(
        [sys.executable, "-m", "service", "demo", "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((out / "report.json").read_text())
    assert report["concept"] == "parachute"
    assert report["erased_rate"] < 0.1
    assert report["scene_kept"]["origin"] > 0.9
    assert report["scene_kept"]["kept"] >= 0.95, "the mountains are still there"
    assert report["train_seconds"] > 0
    assert report["generate_seconds"] > 0
    assert report["evaluation"]["digests"].keys() == {"parachute@2"}  # trained just now: version 1 came with the model
    for video in report["videos"]:
        assert (out / video).read_bytes()[4:8] == b"ftyp"
        assert str(out / video) in done.stdout
    with Image.open(out / "side_by_side.png") as picture:
        assert picture.width > 400
    assert processes_of(out / "clearway-data") == {}
