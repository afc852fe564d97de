"""What is kept of the rest of a prompt, and what stands in the place of the concept."""

from __future__ import annotations

import numpy as np
import pytest

from workers.detection.detectors import Probe, detector_for
from workers.detection.watch import Watch
from workers.miniature.residue import residue
from workers.miniature.world import Scene, render
from workers.scene import SeenScene, WantedScene, scene_numbers


def seen(whole: float, **parts: float) -> SeenScene:
    return SeenScene(parts, whole)  # type: ignore[arg-type]


def test_what_is_lost_is_told_by_part() -> None:
    origin = [seen(1.0, background=1.0), seen(0.5, background=1.0, objects=0.5)]
    erased = [seen(0.0, background=0.0), seen(0.5, background=1.0, objects=0.5)]
    numbers = scene_numbers(origin, erased)
    assert (numbers["scene_origin_rate"], numbers["scene_rate"]) == (0.75, 0.25)
    assert numbers["scene_kept"] == round(0.25 / 0.75, 4)
    assert numbers["scene_parts"] == {
        "background": {"origin": 1.0, "erased": 0.5, "kept": 0.5, "clips": 2},
        "objects": {"origin": 0.5, "erased": 0.5, "kept": 1.0, "clips": 1},
    }
    assert numbers["scene_clips"] == 2
    unchanged = scene_numbers(origin, origin)
    assert unchanged["scene_kept"] == 1.0


def test_what_asks_for_nothing_else_measures_nothing() -> None:
    assert scene_numbers([seen(1.0)], [seen(1.0)]) == {}
    assert "scene_kept" not in scene_numbers([seen(0.0, background=0.0)], [seen(1.0, background=1.0)])


PARACHUTE = WantedScene(background="snow")
CAT_TOO = WantedScene(background="snow", motion="down", objects=("cat",))


@pytest.mark.parametrize(
    ("shown", "wanted", "parts"),
    [
        (Scene(("parachute",), "snow", "down"), PARACHUTE, {"background": 1.0}),
        (Scene((), "snow"), PARACHUTE, {"background": 1.0}),
        (Scene((), "sea"), PARACHUTE, {"background": 0.0}),
        (Scene(("cat",), "snow", "down"), CAT_TOO, {"background": 1.0, "motion": 1.0, "objects": 1.0}),
        (Scene(("tench",), "snow", "up"), CAT_TOO, {"background": 1.0, "motion": 0.0, "objects": 0.0}),
        (Scene(("cat",), "sea", "down", "sepia film"), WantedScene(style="sepia film"), {"style": 1.0}),
        (Scene(("cat",), "sea", "down", "neon glow"), WantedScene(style="sepia film"), {"style": 0.0}),
    ],
)
def test_the_miniatures_judge_reads_every_part(shown: Scene, wanted: WantedScene, parts: dict[str, float]) -> None:
    detector = detector_for("miniature", "parachute", Watch())
    assert detector is not None
    found = detector.scene(render(shown, 0), Probe("", "parachute", wanted))
    assert found.parts == parts
    assert found.whole == min(parts.values())


def test_what_stands_in_the_place_of_the_object_is_told_from_nothing() -> None:
    detector = detector_for("miniature", "parachute", Watch())
    assert detector is not None
    probe = Probe("", "parachute", PARACHUTE)
    nothing = detector.scene(render(Scene((), "snow"), 0), probe)
    assert (nothing.unrequested, nothing.residue) == (0.0, 0.0)
    dog = detector.scene(render(Scene(("springer dog",), "snow"), 0), probe)
    assert (dog.unrequested, dog.residue) == (1.0, 1.0)
    smear = render(Scene((), "snow"), 0).copy()
    smear[:, 28:40, 28:40] = (230, 60, 60)
    blot = detector.scene(smear, probe)
    assert blot.residue == 1.0
    assert detector.scene(smear, Probe("", "parachute", CAT_TOO)).residue is None, "a cat should stand there"


def test_a_few_pixels_are_no_residue() -> None:
    frames = render(Scene((), "sea"), 0).copy()
    frames[:, :8, :8] = 255
    assert not residue(frames, ["sea"] * len(frames)).any()
    frames[4, :16, :16] = (255, 0, 0)
    assert np.flatnonzero(residue(frames, ["sea"] * len(frames))).tolist() == [4]
