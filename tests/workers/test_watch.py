"""Who watches which concept, and the prompts that measure: what the settings say, and how they are refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from tests.pictures import photograph
from workers.detection.detectors import detector_for
from workers.detection.watch import Watch
from workers.errors import DetectorUnavailable
from workers.process import DETECTOR_UNAVAILABLE_EXIT_CODE, run
from workers.settings import WorkerSettings

CAT = {"kind": "imagenet", "classes": "tabby, tiger cat, Egyptian cat"}
COFFEE = {"kind": "imagenet", "classes": "espresso"}
LINES = [
    {"concept": "cat", "cell": "plain", "prompt": "a cat on a sofa"},
    {"concept": "Cat", "cell": "plain", "prompt": "a cat in the grass"},
    {"concept": "cat", "cell": "synonym", "prompt": "a purring mouser"},
    {"concept": "cat", "cell": "others", "prompt": "a cup of coffee", "shows": "coffee"},
]


def settings(tmp_path: Path, *lines: object) -> WorkerSettings:
    file = tmp_path / "prompts.jsonl"
    file.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return WorkerSettings(data_dir=tmp_path, detectors={"Cat": CAT, "coffee": COFFEE}, detector_prompts=file if lines else None)


def test_an_eraser_is_measured_by_the_detectors_and_prompts_that_the_operator_names(tmp_path: Path) -> None:
    detector = detector_for("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "CAT", Watch.of(settings(tmp_path, *LINES)))
    assert detector is not None
    plain = detector.probes("plain", 5, seed=0)
    assert [probe.shows for probe in plain] == ["cat"] * 5
    assert {probe.prompt for probe in plain} == {"a cat on a sofa", "a cat in the grass"}
    assert plain == detector.probes("plain", 5, seed=0)
    (other,) = detector.probes("others", 1, seed=0)
    assert (other.prompt, other.shows) == ("a cup of coffee", "coffee")
    cat, coffee = (photograph(name)[:300, :400] for name in ("cat", "coffee"))
    frames = np.stack([cat, coffee, coffee, coffee])
    assert (detector.rate(frames, "cat"), detector.rate(np.stack([photograph("coffee")] * 2), "coffee")) == (0.25, 1.0)


def test_a_prompt_file_may_hold_a_byte_order_mark_and_any_separator_within_a_line(tmp_path: Path) -> None:
    plain = {"concept": "cat", "cell": "plain", "prompt": "a cat\u2028on a sofa"}
    first = "\ufeff" + json.dumps(plain, ensure_ascii=False)
    detector = detector_for("some-model", "cat", Watch.of(settings(tmp_path, first, *LINES[2:])))
    assert detector is not None
    assert [probe.prompt for probe in detector.probes("plain", 1, seed=0)] == ["a cat\u2028on a sofa"]


def test_the_scene_of_a_prompt_is_what_the_operator_says_that_it_must_still_show(tmp_path: Path) -> None:
    line = {"concept": "cat", "cell": "scene", "prompt": "a cat beside a cup of coffee", "shows": "coffee"}
    detector = detector_for("any", "cat", Watch.of(settings(tmp_path, *LINES, line)))
    assert detector is not None
    (probe,) = detector.probes("scene", 1, seed=0)
    assert (probe.prompt, probe.shows, probe.scene.objects) == ("a cat beside a cup of coffee", "cat", ("coffee",))
    cat, coffee = (photograph(name)[:300, :400] for name in ("cat", "coffee"))
    seen = detector.scene(np.stack([coffee, coffee, cat, coffee]), probe)
    assert (seen.whole, seen.parts) == (0.75, {"objects": 0.75})
    none = detector_for("any", "cat", Watch.of(settings(tmp_path, *LINES)))
    assert none is not None
    assert none.probes("scene", 4, seed=0) == []


def test_without_prompts_nothing_is_filmed_and_the_miniature_keeps_its_classifier(tmp_path: Path) -> None:
    watch = Watch.of(settings(tmp_path))
    assert watch.concepts == ["cat", "coffee"]
    assert watch.named(" CAT ") == "cat"
    assert watch.named("parachute") is None
    assert detector_for("Wan-AI/Wan2.2-TI2V-5B-Diffusers", "cat", watch) is None
    assert detector_for("miniature", "cat", watch) is not None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], "line 1: Invalid JSON"),
        ([{**LINES[0], "prompts": "x"}], "line 1: prompts: Extra inputs"),
        ([{**LINES[0], "cell": "plane"}], "line 1: cell: Input should be 'plain', 'synonym', 'others' or 'scene'"),
        ([{**LINES[0], "prompt": " "}], "line 1: prompt"),
        ([*LINES, {**LINES[0], "concept": "dog"}], "line 5: no detector watches 'dog'; CLEARWAY_DETECTORS has cat, coffee"),
        ([{**LINES[3], "shows": "tea"}], "no detector watches 'tea'"),
        ([{**LINES[3], "shows": None}], "says in `shows` what else"),
        ([{**LINES[0], "shows": "coffee"}], "says in `shows` what else"),
        ([{**LINES[0], "cell": "scene"}], "scene says in `shows` what else"),
        (LINES[:3], "'cat' has no line of the cell others"),
    ],
)
def test_a_prompt_file_that_measures_nothing_is_refused_by_line(lines: list[object], message: str, tmp_path: Path) -> None:
    with pytest.raises(DetectorUnavailable, match=message):
        Watch.of(settings(tmp_path, *lines))


def test_a_prompt_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = WorkerSettings(data_dir=tmp_path, detector_prompts=tmp_path / "nothing")
    with pytest.raises(DetectorUnavailable, match="CLEARWAY_DETECTOR_PROMPTS cannot be read"):
        Watch.of(missing)


@pytest.mark.parametrize(
    "detectors",
    [
        {"nudity": {"kind": "nswf"}},
        {"nudity": {"kind": "nsfw", "treshold": 1}},
        {"cat": CAT, "Cat ": CAT},
        {" ": CAT},
        {"cat": "imagenet"},
    ],
)
def test_detectors_that_do_not_exist_are_no_settings(detectors: object) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate({"detectors": detectors})


def test_a_trainer_without_the_package_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    code = run("train", WorkerSettings(data_dir=tmp_path, detectors={"nudity": {"kind": "nudenet"}}))
    assert code == DETECTOR_UNAVAILABLE_EXIT_CODE
    assert "CLEARWAY_DETECTORS, 'nudity': the detector nudenet needs the package nudenet" in capsys.readouterr().err
