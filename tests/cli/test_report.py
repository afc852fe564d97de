from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from PIL import Image

from service.evaluation.detection import Seen
from service.evaluation.plan import Pin, Plan
from service.evaluation.prompts import PromptLine
from service.evaluation.report import make_report
from service.evaluation.scene import SceneLine, SceneSeen
from service.evaluation.sheet import CELL_PIXELS, MAX_ROWS, TEXT_PIXELS, Row, draw_sheet

PIN = Pin("parachute", 2, "a" * 64)
CARD = {"id": "miniature", "encoder_fingerprint": "b" * 64}
LINES = (PromptLine("a skydiver", ("skydiver",)), PromptLine("a dog and a parachute", ("dog", "parachute")))
PLAN = Plan(CARD, (PIN,), LINES, (0, 1))
NAMES = {"skydiver": "parachute", "parachute": "parachute", "dog": "springer dog"}


def seen(parachute: int, dog: int, frames: int = 10) -> Seen:
    return Seen(frames, {"parachute": parachute, "springer dog": dog})


def test_a_rate_is_the_share_of_frames_of_the_clips_that_list_the_object() -> None:
    origin = [seen(10, 3), seen(8, 3), seen(6, 10), seen(6, 9)]
    erased = [seen(0, 3), seen(1, 3), seen(0, 10), seen(0, 8)]
    objects = make_report(PLAN, NAMES, origin, erased)["objects"]
    assert objects["parachute"] == {"origin_rate": 30 / 40, "erased_rate": 1 / 40, "n": 4, "frames": 40}
    assert objects["springer dog"] == {"origin_rate": 19 / 20, "erased_rate": 18 / 20, "n": 2, "frames": 20}  # not the 3s above
    assert set(objects) == {"parachute", "springer dog"}


def test_frames_and_not_clips_are_weighed() -> None:
    origin = [seen(30, 0, frames=30), *[seen(0, 0)] * 3]
    assert make_report(PLAN, NAMES, origin, origin)["objects"]["parachute"]["origin_rate"] == 0.5


def in_scene(whole: int, **parts: int) -> Seen:
    return Seen(10, {"parachute": 0, "springer dog": 0}, SceneSeen(whole, parts))


def test_the_scene_is_what_else_the_lines_ask_for_relative_to_origin() -> None:
    origin = [in_scene(8, background=10, objects=8), in_scene(8, background=10, objects=8), seen(1, 1), seen(1, 1)]
    erased = [in_scene(8, background=10, objects=8), in_scene(4, background=5, objects=8), seen(1, 1), seen(1, 1)]
    assert make_report(PLAN, NAMES, origin, erased)["scene_kept"] == {
        "origin": 0.8,
        "erased": 0.6,
        "kept": 0.75,
        "n": 2,
        "parts": {
            "background": {"origin": 1.0, "erased": 0.75, "kept": 0.75, "n": 2},
            "objects": {"origin": 0.8, "erased": 0.8, "kept": 1.0, "n": 2},
        },
    }
    assert make_report(PLAN, NAMES, origin, origin)["scene_kept"]["kept"] == 1.0
    assert make_report(PLAN, NAMES, [seen(1, 1)] * 4, [seen(0, 1)] * 4)["scene_kept"] is None


def test_a_scene_of_which_the_origin_shows_nothing_has_nothing_kept() -> None:
    none = [in_scene(0, background=0)] * 4
    assert make_report(PLAN, NAMES, none, none)["scene_kept"]["kept"] is None


def test_what_is_erased_is_no_part_of_the_scene() -> None:
    snow = SceneLine(background="snow")
    assert PLAN.scenes([snow, snow], NAMES) == [snow, snow, *[replace(snow, objects=("springer dog",))] * 2]
    assert PLAN.scenes([None, snow], NAMES)[:2] == [None, None]


def test_the_report_says_what_was_measured() -> None:
    report = make_report(PLAN, NAMES, [seen(1, 1)] * 4, [seen(0, 1)] * 4)
    assert report["erase"] == ["parachute@2"]
    assert report["digests"] == {"parachute@2": "a" * 64}
    assert (report["seeds"], report["model"], report["prompts"]) == ([0, 1], "miniature", 2)
    assert report["machine"]["cores"] >= 1


def test_a_clip_is_named_by_everything_that_determines_it() -> None:
    def names(plan: Plan) -> set[str]:
        return {clip.name for erased in (False, True) for clip in plan.clips(erased=erased)}

    assert len(names(PLAN)) == 8
    other_eraser = Plan(CARD, (Pin("parachute", 3, "c" * 64),), LINES, (0, 1))
    assert len(names(PLAN) & names(other_eraser)) == 4  # origin is the same, erased is not
    other_encoder = Plan({**CARD, "encoder_fingerprint": "d" * 64}, (PIN,), LINES, (0, 1))
    assert not names(PLAN) & names(other_encoder)
    renumbered = Plan(CARD, (Pin("parachute", 9, "a" * 64),), LINES, (0, 1))
    assert names(PLAN) == names(renumbered)  # the digest is what acts, not its number


def test_pins_go_into_the_request_and_origin_has_none() -> None:
    assert [clip.request("miniature")["erase"] for clip in PLAN.clips(erased=True)] == [["parachute@2"]] * 4
    assert [clip.request("miniature")["erase"] for clip in PLAN.clips(erased=False)] == [[]] * 4


def still(tmp_path: Path, name: str, colour: tuple[int, int, int]) -> Path:
    path = tmp_path / f"{name}.png"
    Image.new("RGB", (64, 32), colour).save(path)
    return path


def test_the_contact_sheet_shows_origin_left_of_erased(tmp_path: Path) -> None:
    red, blue = still(tmp_path, "origin", (255, 0, 0)), still(tmp_path, "erased", (0, 0, 255))
    draw_sheet([Row("a prompt", [red, blue])], tmp_path / "sheet.png", heading="heading")
    with Image.open(tmp_path / "sheet.png") as sheet:
        y = sheet.height - CELL_PIXELS
        assert sheet.getpixel((TEXT_PIXELS + 10, y + 10)) == (255, 0, 0)
        assert sheet.getpixel((TEXT_PIXELS + CELL_PIXELS + 20, y + 10)) == (0, 0, 255)


def test_a_long_sheet_is_cut(tmp_path: Path) -> None:
    red = still(tmp_path, "one", (255, 0, 0))
    for rows in (MAX_ROWS, MAX_ROWS + 5):
        draw_sheet([Row("x", [red, red])] * rows, tmp_path / f"{rows}.png", heading="heading")
    with Image.open(tmp_path / f"{MAX_ROWS}.png") as whole, Image.open(tmp_path / f"{MAX_ROWS + 5}.png") as cut:
        assert whole.size == cut.size
