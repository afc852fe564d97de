"""The suite's bookkeeping and arithmetic; that it films is in tests/integration."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erasers import methods
from erasers.evaluate.pictures import draw_searches
from erasers.options import from_mapping
from workers.detection.detectors import SPELLINGS
from workers.suite import bars, pictures, sheet
from workers.suite.cells import ORIGIN, Journal, Measured
from workers.suite.film import company
from workers.suite.report import Point, as_json, best_within, markdown, own, points, same_clips
from workers.suite.searches import Search
from workers.suite.tables import Rates, tables
from workers.suite.variants import DEFAULT, VARIANTS

SUITE: dict[str, object] = {"model": "miniature", "seed": 1}


def cell(variant: str, factor: float, name: str, *shares: float | None, concept: str = "church") -> Measured:
    return Measured(concept, variant, factor, factor * 2, name, shares, unchanged=0.25)


def three(variant: str, factor: float, plain: float, synonym: float, others: float, concept: str = "church") -> list[Measured]:
    return [
        cell(variant, factor, name, *[share] * 4, concept=concept)
        for name, share in (("plain", plain), ("synonym", synonym), ("others", others))
    ]


MEASURED = [
    *three(ORIGIN, 0.0, 0.8, 0.5, 1.0),
    *three("clear", 0.5, 0.4, 0.25, 1.0),
    *three("clear", 1.0, 0.0, 0.0, 0.96),
    *three("clear", 2.0, 0.0, 0.0, 0.4),
    *three("shift", 1.0, 0.2, 0.5, 0.5),
]


def test_a_suite_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Journal(tmp_path, SUITE)
    first.add(MEASURED[:2])
    path = tmp_path / "cells.jsonl"
    path.write_text(path.read_text() + '{"concept": "chu')  # the power went
    again = Journal(tmp_path, SUITE)
    assert again.measured == MEASURED[:2]
    again.add(MEASURED[2:])
    assert Journal(tmp_path, SUITE).measured == MEASURED


def test_another_suite_does_not_go_on_there(tmp_path: Path) -> None:
    Journal(tmp_path, SUITE)
    with pytest.raises(ValueError, match="of another suite"):
        Journal(tmp_path, SUITE | {"seed": 2})


def test_rates_are_relative_to_the_origins() -> None:
    found = points(MEASURED)
    assert [(point.variant, point.factor) for point in found] == [("clear", 0.5), ("clear", 1.0), ("clear", 2.0), ("shift", 1.0)]
    half = found[0]
    assert (half.erased.value, half.synonym.value, half.kept.value) == (0.5, 0.5, 1.0)
    assert half.erased.low == half.erased.high == 0.5, "equal clips leave no doubt"


def test_intervals_hold_the_truth_and_shrink_with_clips() -> None:
    generator = np.random.default_rng(3)
    widths = []
    for clips in (10, 160):
        measured = [
            cell(variant, factor, name, *generator.binomial(9, rate, clips) / 9)
            for variant, factor, rate in ((ORIGIN, 0.0, 0.8), ("clear", 1.0, 0.4))
            for name in ("plain", "synonym", "others")
        ]
        (point,) = points(measured)
        assert point.erased.low < 0.5 < point.erased.high
        widths.append(point.erased.high - point.erased.low)
    assert widths[1] < widths[0] / 2


def test_a_variant_that_was_not_filmed_for_every_concept_is_left_out() -> None:
    measured = [*MEASURED, *three(ORIGIN, 0.0, 0.8, 0.5, 1.0, "tench"), *three("clear", 1.0, 0.0, 0.0, 1.0, "tench")]
    assert [(point.variant, point.factor) for point in points(measured)] == [("clear", 1.0)]


def test_a_clip_that_asks_for_what_another_eraser_takes_out_counts_on_neither_side() -> None:
    measured = [
        *three(ORIGIN, 0.0, 0.8, 0.5, 1.0)[:2],
        cell(ORIGIN, 0.0, "others", 0.4, 0.8, 0.8, 0.8),
        *three("clear-stack-2", 1.0, 0.0, 0.0, 1.0)[:2],
        cell("clear-stack-2", 1.0, "others", None, 0.8, 0.4, 0.4),
    ]
    (point,) = points(measured)
    assert point.kept.value == pytest.approx(2 / 3, abs=1e-4)
    assert Rates(measured).kept("clear-stack-2", ["church"]) == pytest.approx(2 / 3)


def test_the_trade_off_is_read_where_others_are_kept() -> None:
    found = points(MEASURED)
    best = best_within(found, "clear")
    assert best is not None
    assert best.factor == 1.0
    assert best_within(found, "shift") is None
    assert own(found, "shift") is not None


def test_reports_say_what_they_are_of() -> None:
    text = markdown(SUITE, MEASURED)
    assert "model miniature, seed 1; 4 clips of each concept in a cell" in text
    assert "Origin: plain 80.0%, synonym 50.0%, others 100.0%" in text
    assert "| clear | 0.0% (0.0% to 0.0%) |" in text
    assert "| 1: 0.0%, 0.0%, 96.0% |" in text
    assert "| none keeps 95% |" in text
    report = json.loads(json.dumps(as_json(SUITE, MEASURED)))
    assert report["origin"]["plain"] == {"church": 0.8}
    assert report["points"][0]["erased"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_pictures_are_the_same_for_the_same_measurements_and_others_for_others(tmp_path: Path) -> None:
    def drawn(found: list[Point]) -> bytes:
        pictures.trade_off(found, tmp_path / "curve.png")
        return (tmp_path / "curve.png").read_bytes()

    assert drawn(points(MEASURED)) == drawn(points(MEASURED)) != drawn(points(MEASURED)[:3])
    with Image.open(tmp_path / "curve.png") as picture:
        picture.verify()
    drawn([])


def test_the_course_of_a_search_is_drawn(tmp_path: Path) -> None:
    course = ((1, (0.5, 0.5)), (2, (0.1, 0.9)))
    draw_searches([Search("church", "clear", 1, (0.5, 0.25), (0.9, 0.1), course)], tmp_path / "one.png")
    draw_searches([], tmp_path / "none.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "none.png").read_bytes()


def test_tables_stand_under_the_papers_numbers_and_only_with_measurements() -> None:
    text = tables([*MEASURED, *three("clear-stack-2", 1.0, 0.1, 0.2, 0.9)], [])
    assert [line for line in text.splitlines() if line.startswith("##")] == [
        "## Table 1: objects",
        "## Tables 6 and 17: strength",
        "## Table 9: evasive prompts",
        "## Tables 15 and 19: several concepts at once",
    ]
    assert "| origin | 80.0% | 80.0% |  |" in text
    assert "| clear | 0.5 | 40.0% | 25.0% | 100.0% |" in text
    assert "| clear-stack-2 | 10.0% | 20.0% | 90.0% | 25.0% |" in text
    assert tables([], []) == ""


def test_other_spellings_stand_beside_what_the_origin_shows_of_them() -> None:
    """What is left is judged beside what the origin draws from that spelling, which may be little."""
    shown = {(ORIGIN, 0.0): (0.6, 0.04), ("clear", 1.0): (0.05, 0.0), ("shift", 1.0): (0.05, 0.04)}
    spelt = [
        cell(variant, factor, name, *[share] * 4)
        for (variant, factor), shares in shown.items()
        for name, share in zip(SPELLINGS, shares, strict=True)
    ]
    text = tables([*MEASURED, *spelt], [])
    assert "| method | misspelt | origin | homoglyph | origin | each at most 10% of the origin's |" in text
    assert "| clear | 5.0% | 60.0% | 0.0% | 4.0% | yes |" in text
    assert "| shift | 5.0% | 60.0% | 4.0% | 4.0% | no |" in text
    assert "Other spellings" not in tables(MEASURED, []), "a suite from before filmed none"
    report = as_json(SUITE, [*MEASURED, *spelt])
    assert report["spellings"]["clear"] == {"misspelt": {"church": 0.05}, "homoglyph": {"church": 0.0}}
    assert report["origin"]["misspelt"] == {"church": 0.6}
    assert len(report["points"]) == len(points(MEASURED)), "they are no part of the trade-off"


def test_the_rest_of_the_scene_is_what_is_kept_of_it_relative_to_origin() -> None:
    scenes = [cell(ORIGIN, 0.0, "scene", *[0.8] * 4), cell("clear", 1.0, "scene", *[0.6] * 4)]
    text = tables([*MEASURED, *scenes], [])
    assert "## The rest of the scene" in text
    assert "| clear | 80.0% | 60.0% | 75.0% |" in text
    assert "| shift | 80.0%" not in text, "it was not filmed"
    assert "The rest of the scene" not in tables(MEASURED, []), "a suite from before filmed none"
    kept = {one.bar.name: one for one in bars.reached([*scenes, cell("project", 1.0, "scene", *[0.6] * 4)])}["scene kept"]
    assert (kept.ratio.value, kept.bar.met(kept.ratio.value)) == (0.75, False)


def test_the_search_is_set_against_the_best_block_of_all() -> None:
    blocks = [one for layer in range(8) for one in three(f"clear-block-{layer}", 1.0, 0.1 * abs(layer - 3), 0.3, 1.0)]
    measured = [*MEASURED, *blocks, *three("clear-reconstruction", 1.0, 0.5, 0.5, 1.0)]
    searches = [
        Search("church", variant, layer, (0.5, 0.25), (0.9, 0.1))
        for variant, layer in (("clear", 1), ("clear-reconstruction", 0), ("clear-block-3", 3))
    ]
    text = tables(measured, searches)
    assert "| church | manual | 3 | 0.0% | 30.0% | 100.0% |" in text
    assert "| church | w/o L_con | 0 | 50.0% | 50.0% | 100.0% |" in text
    assert "| church | w/ L_con | 1 | 0.0% | 0.0% | 96.0% |" in text
    assert "| probe error | 50.0% | 25.0% |" in text
    assert "| chosen for | 0 | 1 |" in text


def test_variants_that_differ_in_their_company_alone_share_their_erasers() -> None:
    assert VARIANTS["clear-stack-5"].trained_as == "clear"
    assert VARIANTS["clear-block-6-stack-2"].trained_as == "clear-block-6"
    assert VARIANTS["clear-pairs-50"].trained_as == "clear-pairs-50"


def test_a_stack_is_the_concept_and_those_that_follow_it() -> None:
    assert company("gas pump", 2) == ("gas pump", "golf ball", "parachute")
    assert company("tench", 1) == ("tench", "cassette player")
    assert company("sepia film", 1) == ("sepia film", "cassette player")


def test_every_variant_is_a_recipe_of_its_method() -> None:
    for variant in VARIANTS.values():
        from_mapping(methods.get(variant.method).config_type, variant.config)
        assert 1.0 in variant.factors
    assert set(DEFAULT) <= set(VARIANTS)
    assert {VARIANTS[name].method for name in DEFAULT} == set(methods.METHODS)


def test_a_sheet_has_a_row_a_method_and_a_column_a_clip(tmp_path: Path) -> None:
    red, blue = (np.full((64, 64, 3), colour, np.uint8) for colour in ((200, 0, 0), (0, 0, 200)))
    path = tmp_path / "sheets" / "church.png"
    sheet.draw({"origin": {"plain": [red, red], "others": [red]}, "clear": {"plain": [blue, red], "others": [red]}}, path)
    with Image.open(path) as picture:
        assert picture.size == (sheet.NAME + 3 * (sheet.SIDE + sheet.GAP), sheet.HEAD + 2 * (sheet.SIDE + sheet.GAP))
        middle = (sheet.NAME + sheet.SIDE // 2, sheet.HEAD + sheet.SIDE + sheet.GAP + sheet.SIDE // 2)
        assert picture.getpixel(middle) == (0, 0, 200)


BARS_MEASURED = [
    *MEASURED[:3],
    *(cell(ORIGIN, 0.0, spelling, *[0.5] * 4) for spelling in SPELLINGS),
    *three("project", 1.0, 0.008, 0.03, 0.96),
    cell("project", 1.0, "misspelt", *[0.2] * 4),
    replace(cell("project-gated", 1.0, "others", *[1.0] * 4), unchanged=1.0),
    *three("shift", 1.0, 0.2, 0.5, 0.5),
    *three("clear", 1.0, 0.0, 0.0, 0.99),
]


def test_the_bars_say_what_is_met_and_by_how_much_the_rest_is_missed() -> None:
    found = {one.bar.name: one for one in bars.reached(BARS_MEASURED)}
    assert set(found) == {"erased", "others kept", "held-out synonyms", "misspelt"}, "what was not measured is not claimed"
    assert {name: one.bar.met(one.ratio.value) for name, one in found.items()} == {
        "erased": True,  # .01 of the origin
        "others kept": False,  # .96
        "held-out synonyms": False,  # .06 of the origin
        "misspelt": False,  # .4
    }
    text = bars.markdown(BARS_MEASURED, points(BARS_MEASURED))
    assert "| misspelt | project | at most 10% | 40.0% (40.0% to 40.0%) | 1 × 4 | church, 40.0% | no, by 30.0 points |" in text
    assert "| others' prompts unchanged, bit for bit | project-gated | 100% | 100.0% | 4 prompts |  | yes |" in text
    assert "| not behind shift over its curve | project | 1 points | 1 points |  |  | yes |" in text
    assert "no: at 1: 0.0% left, 99.0% kept" in text, "CLEAR is ahead here, and that is said"
    assert {row["name"]: row["met"] for row in bars.as_json(BARS_MEASURED)}["others kept"] is False


def test_what_was_filmed_more_is_compared_on_the_clips_that_all_have() -> None:
    more = cell("clear", 1.0, "plain", 0.0, 0.0, 0.0, 0.0, 1.0, 1.0)
    assert [len(one.shares) for one in same_clips([*MEASURED, more])] == [4] * (len(MEASURED) + 1)
    assert (more.first(4) + cell("clear", 1.0, "plain", 1.0, 1.0)).shares == more.shares


def test_a_later_line_of_a_cell_takes_the_place_of_the_earlier(tmp_path: Path) -> None:
    journal = Journal(tmp_path, SUITE)
    journal.add(MEASURED[:2])
    more = MEASURED[0] + cell(ORIGIN, 0.0, "plain", 0.1)
    journal.add([more])
    assert journal.measured == Journal(tmp_path, SUITE).measured == [more, MEASURED[1]]


def test_what_is_unchanged_is_weighed_by_prompts() -> None:
    few, many = cell("clear", 1.0, "others", 1.0), cell("clear", 1.0, "others", 1.0, 1.0, 1.0)
    assert (replace(few, unchanged=1.0) + replace(many, unchanged=0.0)).unchanged == 0.25
