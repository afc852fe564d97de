from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import photograph
from workers.detect import UnknownObject, object_named, read_frames
from workers.detection.watch import Watch
from workers.generation.video import encode_mp4
from workers.miniature.world import Scene, render


def detect(*arguments: str, detectors: dict[str, dict[str, str]] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CLEARWAY_DETECTORS": json.dumps(detectors or {})}
    command = [sys.executable, "-m", "workers.detect", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_frames_come_back_as_they_were_encoded(tmp_path: Path) -> None:
    colours = np.array([(220, 30, 40), (30, 200, 60), (40, 50, 210), (128, 128, 128)], dtype=np.uint8)
    frames = np.repeat(colours, 64 * 64, axis=0).reshape(4, 64, 64, 3)
    (tmp_path / "clip.mp4").write_bytes(encode_mp4(frames, frames_per_second=8, metadata={}))
    read = read_frames(tmp_path / "clip.mp4")
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).max() <= 6  # 4:2:0 and the codec; a wrong colour matrix is off by 20 and more


@pytest.mark.parametrize(
    ("name", "concept"), [("parachute", "parachute"), ("Skydiving  Canopy", "parachute"), ("hound", "springer dog")]
)
def test_an_object_goes_by_its_synonyms_too(name: str, concept: str) -> None:
    assert object_named(name, Watch()) == concept


@pytest.mark.parametrize("name", ["parachut", "robo max", "elephant"])  # a typo, a character, something else
def test_what_the_classifier_cannot_see_is_refused(name: str) -> None:
    with pytest.raises(UnknownObject, match=f"cannot see '{name}'"):
        object_named(name, Watch())


def test_names_are_answered_without_loading_a_model() -> None:
    code = (
        "import sys; from workers.detect import main; main(['names', '--objects', 'dog', 'tench']); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == '{"dog": "springer dog", "tench": "tench"}False\n'


def test_a_refusal_is_one_line_with_near_misses() -> None:
    done = detect("names", "--objects", "parachute", "parachut")
    assert done.returncode == 2
    assert done.stderr.startswith("the classifier cannot see 'parachut', and no detector")
    assert "did you mean 'parachute'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_videos_can_be_listed_in_a_file_and_are_answered_in_order(tmp_path: Path) -> None:
    videos = []
    for index, length in enumerate((9, 3)):
        frames = np.full((length, 64, 64, 3), 60 * index, dtype=np.uint8)
        videos.append(tmp_path / f"{index}.mp4")
        videos[-1].write_bytes(encode_mp4(frames, frames_per_second=8, metadata={}))
    (tmp_path / "list").write_text("".join(f"{video}\n" for video in videos))
    out, stills = tmp_path / "seen.json", tmp_path
    done = detect(
        "videos", "--videos", f"@{tmp_path / 'list'}", "--objects", "skydiver", "--out", str(out), "--stills", str(stills)
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(out.read_text())
    assert [(clip["video"], clip["frames"]) for clip in seen] == [(str(videos[0]), 9), (str(videos[1]), 3)]
    assert all(clip["objects"].keys() == {"parachute"} for clip in seen)
    assert (stills / "0.png").exists()


def test_scenes_are_read_from_videos_beside_their_objects(tmp_path: Path) -> None:
    """One clip as asked, and one with another background, motion and object."""
    videos, asked = [], {"background": "over snowy mountains", "motion": "down", "style": None, "objects": ["cat"]}
    for name, shown in (("right", Scene(("cat",), "snow", "down")), ("wrong", Scene(("tench",), "sea", "up"))):
        videos.append(tmp_path / f"{name}.mp4")
        videos[-1].write_bytes(encode_mp4(render(shown, 0), frames_per_second=8, metadata={}))
    scenes, out = tmp_path / "scenes.json", tmp_path / "seen.json"
    scenes.write_text(json.dumps([asked, asked]))
    files = ("--videos", *map(str, videos), "--scenes", str(scenes), "--out", str(out))
    done = detect("videos", *files, "--objects", "parachute")
    assert done.returncode == 0, done.stderr
    right, wrong = (clip["scene"] for clip in json.loads(out.read_text()))
    assert right == {"whole": 9, "parts": {"background": 9, "motion": 9, "objects": 9}}
    assert wrong == {"whole": 0, "parts": {"background": 0, "motion": 0, "objects": 0}}
    scenes.write_text(json.dumps([None, {"background": "sea"}]))
    assert detect("videos", *files).returncode == 0
    assert [clip["scene"] for clip in json.loads(out.read_text())] == [None, {"whole": 9, "parts": {"background": 9}}]


def test_a_scene_that_the_classifier_cannot_see_is_refused_by_part(tmp_path: Path) -> None:
    (tmp_path / "scenes.json").write_text(json.dumps([{"background": "snwo"}]))
    done = detect("scenes", str(tmp_path / "scenes.json"))
    assert done.returncode == 2
    assert done.stderr == "the classifier cannot see the background 'snwo'; did you mean 'snow'?\n"
    (tmp_path / "scenes.json").write_text(json.dumps([{"motion": "Falling  down"}, None]))
    done = detect("scenes", str(tmp_path / "scenes.json"))
    assert json.loads(done.stdout) == [{"background": None, "motion": "down", "style": None, "objects": []}, None]


def test_what_the_operator_has_watched_is_judged_by_that_detector(tmp_path: Path) -> None:
    """Frames of any size, and of what the miniature never saw."""
    frames = np.stack([photograph("coffee")[:400, :600]] * 2)
    (tmp_path / "clip.mp4").write_bytes(encode_mp4(frames, frames_per_second=8, metadata={}))
    out = tmp_path / "seen.json"
    detectors = {"Coffee": {"kind": "imagenet", "classes": "espresso"}, "parachute": {"kind": "imagenet", "classes": "parachute"}}
    arguments = ("--objects", "coffee", "parachute", "--out", str(out))
    done = detect("videos", "--videos", str(tmp_path / "clip.mp4"), *arguments, detectors=detectors)
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())[0]["objects"] == {"coffee": 2, "parachute": 0}


@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        ({"nudity": {"kind": "nswf"}}, "did you mean 'nsfw'"),
        (
            {"jane": {"kind": "identity", "references": "/nowhere"}},
            "'jane': references '/nowhere' is no directory",
        ),
    ],
)
def test_a_detector_that_cannot_be_had_is_refused_by_name(detectors: dict[str, dict[str, str]], message: str) -> None:
    done = detect("names", "--objects", "dog", detectors=detectors)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
